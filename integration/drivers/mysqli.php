<?php
// PHP's mysqli through a node: connect, prepare, write, roll back, and an error by its number. Usage: PORT USER TABLE tls|plain.
[, $port, $user, $table, $tls] = $argv;

function expect(bool $holds, string $what): void
{
    if (!$holds) {
        throw new Exception($what);
    }
}

mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
$connection = mysqli_init();
$flags = $tls === "tls" ? MYSQLI_CLIENT_SSL | MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT : 0;
$connection->real_connect("127.0.0.1", $user, "secret", "drivers", (int) $port, null, $flags);
$connection->set_charset("utf8mb4");
$connection->query("CREATE TABLE $table (id INT PRIMARY KEY AUTO_INCREMENT, n DECIMAL(10,2), name VARCHAR(50))");

$connection->begin_transaction();
$insert = $connection->prepare("INSERT INTO $table (n, name) VALUES (?, ?)");
foreach ([["10.50", "één"], ["0.25", "日本語"], ["0", null]] as [$n, $name]) {
    $insert->bind_param("ss", $n, $name);
    $insert->execute();
    $first ??= $connection->insert_id;
}
$connection->commit();

$connection->begin_transaction();
$connection->query("DELETE FROM $table");
expect($connection->affected_rows === 3, "rows deleted");
$connection->rollback();
$select = $connection->prepare("SELECT name, n FROM $table WHERE id = ?");
$select->bind_param("i", $first);
$select->execute();
expect($select->get_result()->fetch_all() === [["één", "10.50"]], "the first row");
try {
    $connection->query("INSERT INTO $table VALUES ($first, 1, '')");
    expect(false, "a duplicate key was accepted");
} catch (mysqli_sql_exception $error) {
    expect($error->getCode() === 1062, "the error: {$error->getMessage()}");
}
