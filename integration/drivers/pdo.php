<?php
// PHP's PDO through a node: connect, prepare on the server, write, roll back, and an error by its number. Usage: PORT USER TABLE tls|plain.
[, $port, $user, $table, $tls] = $argv;

function expect(bool $holds, string $what): void
{
    if (!$holds) {
        throw new Exception($what);
    }
}

$options = [PDO::ATTR_EMULATE_PREPARES => false];
if ($tls === "tls") {
    // It takes a file for a wish for TLS.
    $options += [PDO::MYSQL_ATTR_SSL_CA => "/etc/ssl/certs/ca-certificates.crt", PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT => false];
}
$connection = new PDO("mysql:host=127.0.0.1;port=$port;dbname=drivers;charset=utf8mb4", $user, "secret", $options);
$connection->exec("CREATE TABLE $table (id INT PRIMARY KEY AUTO_INCREMENT, n DECIMAL(10,2), name VARCHAR(50))");

$connection->beginTransaction();
$insert = $connection->prepare("INSERT INTO $table (n, name) VALUES (?, ?)");
foreach ([["10.50", "één"], ["0.25", "日本語"], ["0", null]] as $row) {
    $insert->execute($row);
    $first ??= (int) $connection->lastInsertId();
}
expect($connection->inTransaction(), "in a transaction");
$connection->commit();

$connection->beginTransaction();
expect($connection->exec("DELETE FROM $table") === 3, "rows deleted");
$connection->rollBack();
$select = $connection->prepare("SELECT name, n FROM $table WHERE id = :id");
$select->execute(["id" => $first]);
expect($select->fetchAll(PDO::FETCH_NUM) === [["één", "10.50"]], "the first row");
try {
    $connection->exec("INSERT INTO $table VALUES ($first, 1, '')");
    expect(false, "a duplicate key was accepted");
} catch (PDOException $error) {
    expect($error->errorInfo[1] === 1062, "the error: {$error->getMessage()}");
}
