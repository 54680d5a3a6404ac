//! A thread cannot borrow its parameters; each refusal names the type to take instead.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

#[lwt::thread]
async fn strings(name: &str, path: &Path, bytes: &[u8]) -> lwt::Result<usize> {
    Ok(name.len() + path.as_os_str().len() + bytes.len())
}

#[lwt::thread]
async fn others<'a>(table: &HashMap<String, u32>, list: &mut Vec<u8>, text: Cow<'a, str>) -> lwt::Result<()> {
    let _ = (table, list, text);
    Ok(())
}

#[lwt::thread]
async fn pattern((name, _): (&'_ str, u8)) -> lwt::Result<()> {
    let _ = name;
    Ok(())
}

fn main() {}
