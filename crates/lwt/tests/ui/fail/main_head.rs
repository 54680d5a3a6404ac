//! What a function under `#[lwt::main]` or `#[lwt::test]` cannot have.

mod not_async {
    #[lwt::main]
    fn main() {}
}

mod parameters {
    #[lwt::main]
    async fn main(arguments: Vec<String>) {}
}

mod generic {
    #[lwt::main]
    async fn main<T>() {}
}

mod option {
    #[lwt::main(virtual_clock)]
    async fn main() {}
}

mod path {
    #[lwt::main(crate = "not a path")]
    async fn main() {}
}

#[lwt::test(time_limit = "ten seconds")]
async fn time_limit() {}

#[lwt::test(seed = 1, seed = 2)]
async fn twice() {}

#[lwt::test]
async fn with_parameter(number: u32) {}

fn main() {}
