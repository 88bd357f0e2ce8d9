"""Every type that a column with a key can have, with values at its limits, which are all different from each other."""

WHOLE = {"TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 24, "INT": 32, "BIGINT": 64}
DECIMAL = "99999999999999999999999999999999999.999999999999999999999999999999"

# By type; where the key is of a prefix, the type ends with its length.
COLUMNS = {
    **{kind: [str(-2 ** (bits - 1)), "-1", "0", "1", str(2 ** (bits - 1) - 1)] for kind, bits in WHOLE.items()},
    **{f"{kind} UNSIGNED": ["0", "1", str(2 ** (bits - 1) - 1), str(2 ** (bits - 1)), str(2 ** bits - 1)] for kind, bits in WHOLE.items()},
    "DECIMAL(65,30)": [f"-{DECIMAL}", "-1", "0", "0.000000000000000000000000000001", DECIMAL],
    "DECIMAL(5,0)": ["-99999", "0", "99999"],
    "FLOAT": ["-3.402823e38", "-1.5", "0", "1.17549e-38", "3.402823e38"],
    "DOUBLE": ["-1.7976931348623157e308", "0", "2.2250738585072014e-308", "1.5", "1.7976931348623157e308"],
    "BIT(1)": ["b'0'", "b'1'"],
    "BIT(13)": ["b'0'", "b'1000000000000'", "b'1111111111111'"],
    "BIT(64)": ["b'0'", "1", "0x7fffffffffffffff", "0xffffffffffffffff"],
    "DATE": ["'1000-01-01'", "'2024-02-29'", "'9999-12-31'"],
    "TIME": ["'-838:59:59'", "'00:00:00'", "'838:59:59'"],
    "TIME(6)": ["'-838:59:58.999999'", "'-00:00:00.000001'", "'00:00:00'", "'00:00:00.000001'", "'838:59:59'"],
    "DATETIME": ["'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'"],
    "DATETIME(6)": ["'1000-01-01 00:00:00'", "'1000-01-01 00:00:00.000001'", "'9999-12-31 23:59:59.999999'"],
    "TIMESTAMP NULL": ["'1970-01-02 00:00:01'", "'2038-01-18 03:14:07'"],
    "TIMESTAMP(6) NULL": ["'1970-01-02 00:00:01'", "'1970-01-02 00:00:01.000001'", "'2038-01-18 03:14:07.999999'"],
    "YEAR": ["0", "1901", "2155"],
    "CHAR(255)": ["''", "'a'", "'日本'", "REPEAT('é', 254)", "REPEAT('é', 255)"],
    "VARCHAR(700)": ["''", "'a'", "'b'", "REPEAT('🚢', 699)", "REPEAT('🚢', 700)"],
    "VARCHAR(255) CHARACTER SET latin1": ["''", "'ä'", "REPEAT('ü', 255)"],
    "BINARY(4)": ["x''", "x'01'", "x'00000001'", "x'ffffffff'"],
    "VARBINARY(3000)": ["x''", "x'00'", "x'0000'", "REPEAT(x'ff', 2999)", "REPEAT(x'ff', 3000)"],
    "ENUM('red', 'green', 'é')": ["'red'", "'green'", "'é'"],
    "SET('a', 'b', 'c')": ["''", "'a'", "'a,c'", "'a,b,c'"],
    **{f"{kind} (20)": ["''", "'a'", "REPEAT('é', 10)", "CONCAT(REPEAT('é', 9), 'end')", "CONCAT('b', REPEAT('x', 200))"]
       for kind in ("TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT")},
    **{f"{kind} (20)": ["x''", "x'00'", "REPEAT(x'ff', 19)", "REPEAT(x'ff', 200)"] for kind in ("TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB")},
}
OF_MARIADB = {
    "INET6": ["'::'", "'::1'", "'::ffff:192.0.2.1'", "'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'"],
    "INET4": ["'0.0.0.0'", "'127.0.0.1'", "'255.255.255.255'"],
    "UUID": ["'00000000-0000-0000-0000-000000000000'", "'123e4567-e89b-12d3-a456-426655440000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
}
# Two ways to write what may be one value: whether it is, the server says.
PAIRS = [("DOUBLE", "0e0", "-0e0"), ("FLOAT", "0e0", "-0e0"), ("FLOAT", "16777216", "16777217"), ("DECIMAL(65,30)", "1.0", "1.000"), ("DECIMAL(65,30)", "0", "-0.0"), ("INT", "7", "'7'"),
         ("DATE", "'2024-02-29'", "20240229"), ("TIME(6)", "'00:00:00'", "'-00:00:00'"), ("DATETIME", "'2024-02-29 00:00:00.4'", "'2024-02-29'"), ("YEAR", "70", "1970"),
         ("CHAR(255)", "'a'", "'A  '"), ("VARCHAR(700)", "'a'", "'a '"), ("VARCHAR(700)", "''", "'\\0'"), ("BINARY(4)", "x'01'", "x'01000000'"), ("VARBINARY(3000)", "x'01'", "x'0100'"), ("BIT(13)", "b'1'", "1"),
         ("ENUM('red', 'green', 'é')", "'green'", "2"), ("SET('a', 'b', 'c')", "'c,a'", "'a,c,a'"), ("TEXT (20)", "'same beginning of it, and one end'", "'SAME BEGINNING OF IT, and another'"),
         ("BLOB (20)", "'same beginning of it, and one end'", "'same beginning of it, and another'")]
