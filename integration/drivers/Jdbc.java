import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.Properties;

/** MariaDB's JDBC driver through a node: connect, prepare, write, roll back, and an error by its number. Usage: PORT USER TABLE tls|plain. */
public class Jdbc {
    static void expect(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    public static void main(String[] arguments) throws SQLException {
        var table = arguments[2];
        var properties = new Properties();
        properties.put("user", arguments[1]);
        properties.put("password", "secret");
        properties.put("useServerPrepStmts", "true");
        properties.put("allowPublicKeyRetrieval", "true");
        if (arguments[3].equals("tls")) {
            properties.put("useSsl", "true");
            properties.put("trustServerCertificate", "true");
        }
        try (var connection = DriverManager.getConnection("jdbc:mariadb://127.0.0.1:" + arguments[0] + "/drivers", properties)) {
            use(connection, table);
        }
    }

    static void use(Connection connection, String table) throws SQLException {
        try (var statement = connection.createStatement()) {
            statement.execute("CREATE TABLE " + table + " (id INT PRIMARY KEY AUTO_INCREMENT, n DECIMAL(10,2), name VARCHAR(50))");
            connection.setAutoCommit(false);
            var names = new String[] {"één", "日本語", null};
            var numbers = new String[] {"10.50", "0.25", "0"};
            int first = 0;
            try (var insert = connection.prepareStatement("INSERT INTO " + table + " (n, name) VALUES (?, ?)", 1)) {
                for (int i = 0; i < 3; i++) {
                    insert.setBigDecimal(1, new BigDecimal(numbers[i]));
                    insert.setString(2, names[i]);
                    expect(insert.executeUpdate() == 1, "rows inserted");
                    try (var keys = insert.getGeneratedKeys()) {
                        expect(keys.next(), "a generated key");
                        if (i == 0) first = keys.getInt(1);
                    }
                }
            }
            connection.commit();

            var savepoint = connection.setSavepoint();
            expect(statement.executeUpdate("DELETE FROM " + table) == 3, "rows deleted");
            connection.rollback(savepoint);
            statement.executeUpdate("DELETE FROM " + table);
            connection.rollback();
            try (var select = connection.prepareStatement("SELECT name FROM " + table + " WHERE id = ?")) {
                select.setInt(1, first);
                try (var rows = select.executeQuery()) {
                    expect(rows.next() && rows.getString(1).equals("één"), "the first name");
                }
            }
            try {
                statement.executeUpdate("INSERT INTO " + table + " VALUES (" + first + ", 1, '')");
                throw new AssertionError("a duplicate key was accepted");
            } catch (SQLException error) {
                expect(error.getErrorCode() == 1062 && error.getSQLState().equals("23000"), "the error: " + error);
            }
            connection.commit();
        }
    }
}
