//! Mistakes in the body of `main` are reported there.

#[lwt::main]
async fn main() -> lwt::Result<()> {
    let number: u32 = "1";
    lwt::spawn(async { Ok(number) }).await
}
