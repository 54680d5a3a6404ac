//! The workloads and the rows of the table.
//!
//! A [`Workload`] is what one process runs; a [`Row`] is one line of the table, with its target. Most workloads give one row; the
//! sleepers give three. Some rows state an operation in a second way of ours (with `bind` and with `spawn`): those stand beside the
//! peers' figures of the first, since the peers have only tasks ([`Workload::peers_run`]).
//!
//! What each workload does is told in [`Workload::meaning`]; the generic programs and ours are held against that text.

use Workload::*;

/// What one process of a benchmark program runs. [`Workload::meaning`] tells of each what its operation is.
#[expect(missing_docs, reason = "each is told by `meaning`, once")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Workload {
    BindReady,
    AwaitReady,
    WaitCallback,
    WaitBind,
    WaitAwait,
    WaitBindThousand,
    WaitAwaitThousand,
    LaunchSpawn,
    LaunchPromise,
    LaunchYieldThousand,
    LaunchYieldMillion,
    YieldTwo,
    Mailbox,
    Mutex,
    StreamBurst,
    StreamOne,
    StreamFilled,
    Sleepers,
    SleepersBind,
    CancelThousand,
    CancelMillion,
    CancelBindThousand,
    CancelBindMillion,
    ChainThousand,
    ChainMillion,
    ChainAwaitThousand,
    ChainAwaitMillion,
    PickReady,
    PickWoken,
    DeepChain,
    SocketPingPong,
    Timers,
}

/// How large a workload is run.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Operations of one timed process.
    pub timed: u64,
    /// The same with `--quick`.
    pub quick: u64,
    /// The two sizes whose instruction counts are subtracted.
    pub counted: (u64, u64),
}

const fn sizes(timed: u64, quick: u64, counted: (u64, u64)) -> Sizes {
    Sizes {
        timed,
        quick,
        counted,
    }
}

impl Workload {
    /// All of them, in the order of the table.
    pub const ALL: [Workload; 32] = [
        BindReady,
        AwaitReady,
        WaitCallback,
        WaitBind,
        WaitAwait,
        WaitBindThousand,
        WaitAwaitThousand,
        LaunchSpawn,
        LaunchPromise,
        LaunchYieldThousand,
        LaunchYieldMillion,
        YieldTwo,
        Mailbox,
        Mutex,
        StreamBurst,
        StreamOne,
        StreamFilled,
        Sleepers,
        SleepersBind,
        CancelThousand,
        CancelMillion,
        CancelBindThousand,
        CancelBindMillion,
        ChainThousand,
        ChainMillion,
        ChainAwaitThousand,
        ChainAwaitMillion,
        PickReady,
        PickWoken,
        DeepChain,
        SocketPingPong,
        Timers,
    ];

    /// The name on the command line and in the records.
    pub fn id(self) -> &'static str {
        match self {
            BindReady => "bind-ready",
            AwaitReady => "await-ready",
            WaitCallback => "wait-callback",
            WaitBind => "wait-bind",
            WaitAwait => "wait-await",
            WaitBindThousand => "wait-bind-1k",
            WaitAwaitThousand => "wait-await-1k",
            LaunchSpawn => "launch-spawn-1k",
            LaunchPromise => "launch-promise-1k",
            LaunchYieldThousand => "launch-yield-1k",
            LaunchYieldMillion => "launch-yield-1m",
            YieldTwo => "yield-two",
            Mailbox => "mailbox",
            Mutex => "mutex",
            StreamBurst => "stream-burst",
            StreamOne => "stream-one",
            StreamFilled => "stream-filled",
            Sleepers => "sleepers",
            SleepersBind => "sleepers-bind",
            CancelThousand => "cancel-1k",
            CancelMillion => "cancel-1m",
            CancelBindThousand => "cancel-bind-1k",
            CancelBindMillion => "cancel-bind-1m",
            ChainThousand => "chain-1k",
            ChainMillion => "chain-1m",
            ChainAwaitThousand => "chain-await-1k",
            ChainAwaitMillion => "chain-await-1m",
            PickReady => "pick-ready",
            PickWoken => "pick-woken",
            DeepChain => "deep-chain",
            SocketPingPong => "socket-ping-pong",
            Timers => "timers",
        }
    }

    /// The workload of that name.
    pub fn from_id(id: &str) -> Option<Workload> {
        Workload::ALL
            .into_iter()
            .find(|workload| workload.id() == id)
    }

    /// What one operation is.
    pub fn meaning(self) -> &'static str {
        match self {
            BindReady => {
                "make a promise that is born resolved, bind a continuation to it, read the result (peers: a one-shot channel sent to, then awaited)"
            }
            AwaitReady => {
                "await a promise that is born resolved, inside a thread (peers: a bare ready future)"
            }
            WaitCallback => {
                "make a pending promise, attach a callback that borrows the value, wake it up"
            }
            WaitBind => {
                "make a pending promise, bind a thread to it, wake it up, read the thread's result (peers: a task that awaits a one-shot channel, then its handle)"
            }
            WaitAwait => "the same with a spawned thread that awaits the promise",
            WaitBindThousand => "as wait-bind, a thousand at a time: all made, all woken, all done",
            WaitAwaitThousand => "as wait-await, a thousand at a time",
            LaunchSpawn => "spawn a thread that ends at once; join a thousand of them",
            LaunchPromise => {
                "call a function that returns a promise and ends at once; join a thousand of them"
            }
            LaunchYieldThousand => {
                "spawn a thread that lets the others run once; join a thousand of them"
            }
            LaunchYieldMillion => "the same with a million at a time",
            YieldTwo => "two threads let each other run, in turn; per yield",
            Mailbox => {
                "two threads send a number to and fro through two mailbox variables of one place; per message"
            }
            Mutex => {
                "a hundred threads take one lock in turn, and let the others run while they hold it every sixteenth time; per lock"
            }
            StreamBurst => "one thread pushes 64 elements, then lets the reader run; per element",
            StreamOne => "the writer lets the reader run after each element; per element",
            StreamFilled => "all elements are pushed, then read; per element",
            Sleepers => {
                "a million threads fall asleep on one event, which then happens; launching, waking and memory apart"
            }
            SleepersBind => "as sleepers, each a continuation bound to the event",
            CancelThousand => {
                "spawn a thread that awaits a cancelable promise, cancel it, wait for its end; a thousand at a time"
            }
            CancelMillion => "the same with a million at a time",
            CancelBindThousand => "as cancel-1k, with a continuation bound to a cancelable promise",
            CancelBindMillion => "the same with a million at a time",
            ChainThousand => {
                "bind each promise to the one before, a thousand in a row, resolve the first, read the last; per link (peers: each task awaits the handle of the one before)"
            }
            ChainMillion => "the same, a million in a row",
            ChainAwaitThousand => {
                "as chain-1k, each link a spawned thread that awaits the one before"
            }
            ChainAwaitMillion => "the same, a million in a row",
            PickReady => "pick between a pending promise and a resolved one",
            PickWoken => "a thread picks between two pending promises, the second is resolved",
            DeepChain => {
                "a million links on a 1 MiB stack: resolved, cancelled and dropped without overflow"
            }
            SocketPingPong => {
                "one byte goes to and fro between two threads over a pair of Unix-domain sockets; per round trip"
            }
            Timers => {
                "a thread each sleeps until a moment within the same second; a million; per timer"
            }
        }
    }

    /// How large it is run.
    pub fn sizes(self) -> Sizes {
        match self {
            BindReady | AwaitReady => sizes(10_000_000, 4_000_000, (50_000, 250_000)),
            WaitCallback | LaunchSpawn | LaunchPromise | PickReady => {
                sizes(1_500_000, 500_000, (20_000, 100_000))
            }
            WaitBind | WaitAwait | WaitBindThousand | WaitAwaitThousand | PickWoken => {
                sizes(500_000, 200_000, (10_000, 50_000))
            }
            LaunchYieldThousand | CancelThousand | CancelBindThousand | ChainThousand
            | ChainAwaitThousand => sizes(500_000, 200_000, (10_000, 50_000)),
            YieldTwo => sizes(3_000_000, 1_000_000, (20_000, 100_000)),
            Mailbox | Mutex => sizes(1_000_000, 300_000, (10_000, 50_000)),
            SocketPingPong => sizes(100_000, 30_000, (2_000, 10_000)),
            Timers => sizes(1_000_000, 1_000_000, (20_000, 60_000)),
            StreamBurst | StreamFilled => sizes(3_000_000, 1_000_000, (32_000, 128_000)),
            StreamOne => sizes(1_000_000, 300_000, (10_000, 50_000)),
            LaunchYieldMillion | CancelMillion | CancelBindMillion | ChainMillion
            | ChainAwaitMillion | Sleepers | SleepersBind | DeepChain => {
                sizes(1_000_000, 1_000_000, (20_000, 60_000))
            }
        }
    }

    /// Whether instructions tell anything: not where most of the work is the kernel's, or depends on the time.
    pub fn is_countable(self) -> bool {
        !matches!(self, DeepChain | SocketPingPong | Timers)
    }

    /// How many of its operations are alive at a time: one batch.
    pub fn batch(self) -> u64 {
        match self {
            WaitBindThousand | WaitAwaitThousand | LaunchSpawn | LaunchPromise
            | LaunchYieldThousand | CancelThousand | CancelBindThousand | ChainThousand
            | ChainAwaitThousand => 1_000,
            LaunchYieldMillion | CancelMillion | CancelBindMillion | ChainMillion
            | ChainAwaitMillion | Sleepers | SleepersBind | DeepChain => u64::MAX,
            _ => 1,
        }
    }

    /// The workload that other Rust runtimes run beside this one of ours; `None` where they have nothing like it.
    pub fn peers_run(self) -> Option<Workload> {
        match self {
            WaitCallback | DeepChain => None,
            WaitAwait => Some(WaitBind),
            WaitAwaitThousand => Some(WaitBindThousand),
            LaunchPromise => Some(LaunchSpawn),
            SleepersBind => Some(Sleepers),
            CancelBindThousand => Some(CancelThousand),
            CancelBindMillion => Some(CancelMillion),
            ChainAwaitThousand => Some(ChainThousand),
            ChainAwaitMillion => Some(ChainMillion),
            same => Some(same),
        }
    }

    /// The workload that OCaml Lwt runs beside this one of ours: it has callbacks and binds, but one kind of thread.
    pub fn original_runs(self) -> Option<Workload> {
        match self {
            WaitCallback => Some(WaitCallback),
            AwaitReady => Some(BindReady),
            other => other.peers_run(),
        }
    }
}

/// What has to hold for a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// At most so many instructions per operation.
    Instructions(f64),
    /// At most this part of the best peer's CPU time; 1 means "ahead of all", by three percent or more.
    OfBest(f64),
    /// At most so many bytes each.
    Bytes(f64),
    /// Runs to its end.
    Works,
}

/// Which of a workload's measured values a row shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// CPU time per operation, and instructions.
    Cpu,
    /// Resident bytes per sleeper.
    Bytes,
    /// CPU time to launch one sleeper.
    Launch,
    /// CPU time to wake one sleeper.
    Wake,
}

impl Value {
    /// The name under which a program reports it.
    pub fn reported_as(self) -> &'static str {
        match self {
            Value::Cpu => "cpu_ns",
            Value::Bytes => "bytes",
            Value::Launch => "launch_cpu_ns",
            Value::Wake => "wake_cpu_ns",
        }
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What it is called there.
    pub title: &'static str,
    /// Where its figures come from.
    pub workload: Workload,
    /// Which of them.
    pub value: Value,
    /// What they are held against.
    pub target: Target,
}

const fn row(title: &'static str, workload: Workload, value: Value, target: Target) -> Row {
    Row {
        title,
        workload,
        value,
        target,
    }
}

/// The table, top to bottom.
pub const ROWS: [Row; 36] = [
    row(
        "bind on a promise born resolved",
        BindReady,
        Value::Cpu,
        Target::Instructions(27.0),
    ),
    row(
        "await of a promise born resolved",
        AwaitReady,
        Value::Cpu,
        Target::Instructions(27.0),
    ),
    row(
        "wait, attach a callback, wake up",
        WaitCallback,
        Value::Cpu,
        Target::Instructions(200.0),
    ),
    row(
        "wait, bind, wake up, read the result",
        WaitBind,
        Value::Cpu,
        Target::Instructions(350.0),
    ),
    row(
        "wait, a thread awaits, wake up, read the result",
        WaitAwait,
        Value::Cpu,
        Target::Instructions(350.0),
    ),
    row(
        "… with bind, 1,000 live",
        WaitBindThousand,
        Value::Cpu,
        Target::Instructions(350.0),
    ),
    row(
        "… with threads, 1,000 live",
        WaitAwaitThousand,
        Value::Cpu,
        Target::Instructions(350.0),
    ),
    row(
        "launch and join, ends at once, `spawn`, 1,000 live",
        LaunchSpawn,
        Value::Cpu,
        Target::Instructions(160.0),
    ),
    row(
        "… a function that returns a promise",
        LaunchPromise,
        Value::Cpu,
        Target::Instructions(40.0),
    ),
    row(
        "launch and join, yields once, 1,000 live",
        LaunchYieldThousand,
        Value::Cpu,
        Target::Instructions(270.0),
    ),
    row(
        "… a million live",
        LaunchYieldMillion,
        Value::Cpu,
        Target::OfBest(0.5),
    ),
    row(
        "two threads yielding in turn, per yield",
        YieldTwo,
        Value::Cpu,
        Target::Instructions(130.0),
    ),
    row(
        "mailbox variable, per message",
        Mailbox,
        Value::Cpu,
        Target::Instructions(300.0),
    ),
    row(
        "mutex, 100 threads, per lock",
        Mutex,
        Value::Cpu,
        Target::Instructions(110.0),
    ),
    row(
        "stream, bursts of 64",
        StreamBurst,
        Value::Cpu,
        Target::Instructions(63.0),
    ),
    row(
        "stream, one at a time",
        StreamOne,
        Value::Cpu,
        Target::Instructions(180.0),
    ),
    row(
        "stream, filled, then read",
        StreamFilled,
        Value::Cpu,
        Target::Instructions(60.0),
    ),
    row(
        "a million asleep on one event: bytes each",
        Sleepers,
        Value::Bytes,
        Target::Bytes(104.0),
    ),
    row(
        "… launch, ns each",
        Sleepers,
        Value::Launch,
        Target::OfBest(1.0),
    ),
    row(
        "… wake, ns each",
        Sleepers,
        Value::Wake,
        Target::OfBest(1.0),
    ),
    row(
        "a million binds on one event: bytes each",
        SleepersBind,
        Value::Bytes,
        Target::Bytes(104.0),
    ),
    row(
        "… launch, ns each",
        SleepersBind,
        Value::Launch,
        Target::OfBest(1.0),
    ),
    row(
        "… wake, ns each",
        SleepersBind,
        Value::Wake,
        Target::OfBest(1.0),
    ),
    row(
        "cancel a thread, 1,000 live",
        CancelThousand,
        Value::Cpu,
        Target::Instructions(700.0),
    ),
    row(
        "… a million live",
        CancelMillion,
        Value::Cpu,
        Target::OfBest(0.5),
    ),
    row(
        "cancel a bind, 1,000 live",
        CancelBindThousand,
        Value::Cpu,
        Target::Instructions(700.0),
    ),
    row(
        "… a million live",
        CancelBindMillion,
        Value::Cpu,
        Target::OfBest(0.5),
    ),
    row(
        "chain of binds, 1,000",
        ChainThousand,
        Value::Cpu,
        Target::Instructions(212.0),
    ),
    row("… a million", ChainMillion, Value::Cpu, Target::OfBest(1.0)),
    row(
        "chain of awaiting threads, 1,000",
        ChainAwaitThousand,
        Value::Cpu,
        Target::Instructions(212.0),
    ),
    row(
        "… a million",
        ChainAwaitMillion,
        Value::Cpu,
        Target::OfBest(1.0),
    ),
    row(
        "pick, one ready",
        PickReady,
        Value::Cpu,
        Target::Instructions(127.0),
    ),
    row(
        "pick, woken later",
        PickWoken,
        Value::Cpu,
        Target::Instructions(800.0),
    ),
    row(
        "a million links on a 1 MiB stack",
        DeepChain,
        Value::Cpu,
        Target::Works,
    ),
    row(
        "one byte there and back, socket pair",
        SocketPingPong,
        Value::Cpu,
        Target::OfBest(1.0),
    ),
    row(
        "a million timers, per timer",
        Timers,
        Value::Cpu,
        Target::OfBest(1.0),
    ),
];
