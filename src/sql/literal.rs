//! Values as literals.

/// Bytes as a hexadecimal literal has them between its quotes.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref().iter();
    bytes.map(|byte| format!("{byte:02X}")).collect()
}
