//! Mistakes in the body are reported there.

use lwt::Result;

#[lwt::thread]
async fn types(count: u32) -> Result<u32> {
    let text: String = count;
    Ok(text)
}

#[lwt::thread]
async fn question_mark() -> Result<u32> {
    let number = Some(1)?;
    Ok(number)
}

#[lwt::thread]
async fn names() -> Result<u32> {
    Ok(cuont)
}

#[lwt::thread]
#[deny(unused_variables, unused_mut)]
async fn lints(mut changed: u32, unused: u32) -> Result<u32> {
    Ok(changed)
}

#[lwt::thread]
async fn hygiene((a, b): (u32, u32)) -> Result<u32> {
    Ok(a + b + argument_0 + output)
}

fn main() {}
