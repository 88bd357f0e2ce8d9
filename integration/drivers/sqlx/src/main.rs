//! sqlx through a node: connect, prepare, write, roll back, and an error by its number. Usage: PORT USER TABLE tls|plain.

use std::env;

use sqlx::{
    Connection, Executor, MySqlConnection, Row,
    mysql::{MySqlConnectOptions, MySqlSslMode},
    types::Decimal,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), sqlx::Error> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [port, user, table, tls] = &arguments[..] else {
        panic!("usage: PORT USER TABLE tls|plain");
    };
    let mode = match &tls[..] {
        "tls" => MySqlSslMode::Required,
        _ => MySqlSslMode::Disabled,
    };
    let options = MySqlConnectOptions::new()
        .host("127.0.0.1")
        .port(port.parse().expect("a port"))
        .username(user)
        .password("secret")
        .database("drivers")
        .ssl_mode(mode);
    let mut connection = MySqlConnection::connect_with(&options).await?;
    work(&mut connection, table).await?;
    connection.close().await
}

async fn work(connection: &mut MySqlConnection, table: &str) -> Result<(), sqlx::Error> {
    let create = format!(
        "CREATE TABLE {table} (id INT PRIMARY KEY AUTO_INCREMENT, n DECIMAL(10,2), name VARCHAR(50))"
    );
    connection.execute(&create[..]).await?;
    let insert = format!("INSERT INTO {table} (n, name) VALUES (?, ?)");
    let mut first = None;
    let mut transaction = connection.begin().await?;
    for (n, name) in [
        (Decimal::new(1050, 2), Some("één")),
        (Decimal::new(25, 2), Some("日本語")),
        (Decimal::ZERO, None),
    ] {
        let query = sqlx::query(&insert).bind(n).bind(name);
        let done = query.execute(&mut *transaction).await?;
        first.get_or_insert(done.last_insert_id());
    }
    transaction.commit().await?;

    let delete = format!("DELETE FROM {table}");
    let mut transaction = connection.begin().await?;
    let mut nested = Connection::begin(&mut *transaction).await?;
    let done = nested.execute(&delete[..]).await?;
    assert_eq!(done.rows_affected(), 3);
    nested.rollback().await?;
    transaction.execute(&delete[..]).await?;
    transaction.rollback().await?;

    let select = format!("SELECT name, n FROM {table} WHERE id = ?");
    let row = sqlx::query(&select)
        .bind(first)
        .fetch_one(&mut *connection)
        .await?;
    assert_eq!(row.get::<String, _>(0), "één");
    assert_eq!(row.get::<Decimal, _>(1), Decimal::new(1050, 2));

    let insert = format!("INSERT INTO {table} VALUES (?, 1, '')");
    let error = sqlx::query(&insert)
        .bind(first)
        .execute(connection)
        .await
        .unwrap_err();
    let error = error.as_database_error().expect("an error of the server");
    assert!(error.is_unique_violation(), "{error}");
    Ok(())
}
