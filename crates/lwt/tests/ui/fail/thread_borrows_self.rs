//! A thread cannot borrow the value whose method it is.

struct Counter(u32);

impl Counter {
    #[lwt::thread]
    async fn next(&self) -> lwt::Result<u32> {
        Ok(self.0 + 1)
    }

    #[lwt::thread]
    async fn increment(&mut self) -> lwt::Result<()> {
        self.0 += 1;
        Ok(())
    }

    #[lwt::thread]
    async fn pinned(self: std::pin::Pin<&mut Self>) -> lwt::Result<()> {
        Ok(())
    }
}

fn main() {
    // The calls are not reported as well.
    let mut counter = Counter(0);
    let _: lwt::Promise<u32> = counter.next();
    let _: lwt::Promise<()> = counter.increment();
}
