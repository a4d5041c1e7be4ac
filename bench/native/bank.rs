//! The bank in Rust: accounts with a balance and a lock, threads that transfer between two
//! accounts, and an audit that must always find the same total. A yardstick for lockwise/threads.
//!
//!   ordered      both accounts' std::sync::Mutex, the lower number first
//!   parking_lot  the same with parking_lot::Mutex; needs `--cfg feature="parking_lot"` to build
//!
//! A record is one cache line: a mutex with the balance inside. A transfer is drawn inside the
//! timed part. See README.md for the command line and the output.
//! 64-bit Linux only: the C library's functions are declared here, so that no crate is needed.

use std::ops::DerefMut;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

const OPENING: [i64; 6] = [5000, 10000, 7500, 7000, 6000, 9000];

struct Options {
    variant: String,
    threads: u64,
    accounts: u64,
    transfers: u64,
    audit_every: u64,
    seed: u64,
    warmup: u64,
    pin: bool,
    balances: bool,
}

/// xorshift32 [Marsaglia 2003], its state mixed from seed and thread by MurmurHash3's finaliser.
struct Generator {
    state: u32,
}

impl Generator {
    fn new(seed: u32, thread: u32) -> Self {
        let mut state = seed.wrapping_add((thread + 1).wrapping_mul(0x9E37_79B9));
        state ^= state >> 16;
        state = state.wrapping_mul(0x85EB_CA6B);
        state ^= state >> 13;
        state = state.wrapping_mul(0xC2B2_AE35);
        state ^= state >> 16;
        Generator {
            state: if state == 0 { 1 } else { state },
        }
    }

    fn next(&mut self) -> u32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        self.state
    }

    fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.next()) * u64::from(n)) >> 32) as u32
    }
}

/// A mutex with a balance inside, of either library.
trait Balance: Sync {
    type Guard<'a>: DerefMut<Target = i64>
    where
        Self: 'a;

    fn new(balance: i64) -> Self;
    fn lock(&self) -> Self::Guard<'_>;
}

impl Balance for std::sync::Mutex<i64> {
    type Guard<'a> = std::sync::MutexGuard<'a, i64>;

    fn new(balance: i64) -> Self {
        std::sync::Mutex::new(balance)
    }

    fn lock(&self) -> Self::Guard<'_> {
        self.lock().expect("no thread panics while it holds a lock")
    }
}

#[cfg(feature = "parking_lot")]
impl Balance for parking_lot::Mutex<i64> {
    type Guard<'a> = parking_lot::MutexGuard<'a, i64>;

    fn new(balance: i64) -> Self {
        parking_lot::Mutex::new(balance)
    }

    fn lock(&self) -> Self::Guard<'_> {
        self.lock()
    }
}

#[repr(align(64))]
struct Record<M> {
    balance: M,
}

struct Bank<M> {
    records: Vec<Record<M>>,
}

impl<M: Balance> Bank<M> {
    fn new(accounts: usize) -> Self {
        let opening = OPENING.iter().cycle().take(accounts);
        Bank {
            records: opening
                .map(|&balance| Record {
                    balance: M::new(balance),
                })
                .collect(),
        }
    }

    /// False if the payer's balance is too small.
    fn transfer(&self, from: usize, to: usize, amount: i64) -> bool {
        let payer = &self.records[from].balance;
        let payee = &self.records[to].balance;
        if from < to {
            let first = payer.lock();
            let second = payee.lock();
            shift(first, second, amount)
        } else {
            let first = payee.lock();
            let second = payer.lock();
            shift(second, first, amount)
        }
    }

    /// Takes every lock in order, sums, and frees them all. `held` is empty before and after: room
    /// for the guards, so that an audit allocates nothing.
    fn audit<'a>(&'a self, held: &mut Vec<M::Guard<'a>>) -> i64 {
        held.extend(self.records.iter().map(|record| record.balance.lock()));
        let total = held.iter().map(|balance| **balance).sum();
        held.clear();
        total
    }

    /// Only when no thread runs.
    fn balances(&self) -> Vec<i64> {
        self.records
            .iter()
            .map(|record| *record.balance.lock())
            .collect()
    }
}

fn shift<G: DerefMut<Target = i64>>(mut payer: G, mut payee: G, amount: i64) -> bool {
    if *payer < amount {
        return false;
    }
    *payer -= amount;
    *payee += amount;
    true
}

struct Tally {
    start: Instant,
    end: Instant,
    refused: u64,
    failed_audits: u64,
    sleeps: i64,
}

/// The C library's `struct rusage`; the fields between are not needed here.
#[repr(C)]
#[derive(Default)]
struct Usage {
    times: [i64; 4],
    sizes_faults_and_messages: [i64; 12],
    voluntary_switches: i64,
    involuntary_switches: i64,
}

const RUSAGE_THREAD: i32 = 1;
/// The C library's `cpu_set_t`: 1024 bits.
type CpuSet = [u64; 16];

extern "C" {
    fn getrusage(who: i32, usage: *mut Usage) -> i32;
    fn sched_getaffinity(thread: i32, size: usize, cpus: *mut CpuSet) -> i32;
    fn sched_setaffinity(thread: i32, size: usize, cpus: *const CpuSet) -> i32;
}

fn voluntary_switches() -> i64 {
    let mut usage = Usage::default();
    // SAFETY: `usage` is laid out and sized as on 64-bit Linux.
    unsafe { getrusage(RUSAGE_THREAD, &mut usage) };
    usage.voluntary_switches
}

/// Pins the caller to the CPU `thread % n` of the n that this process may use.
fn pin_to_cpu(thread: usize) {
    let size = std::mem::size_of::<CpuSet>();
    let mut allowed: CpuSet = [0; 16];
    // SAFETY: the kernel writes at most `size` bytes.
    if unsafe { sched_getaffinity(0, size, &mut allowed) } < 0 {
        return;
    }
    let may_use = |cpu: &usize| allowed[cpu / 64] >> (cpu % 64) & 1 == 1;
    let cpus: Vec<usize> = (0..1024).filter(may_use).collect();
    let cpu = cpus[thread % cpus.len()];
    let mut one: CpuSet = [0; 16];
    one[cpu / 64] = 1 << (cpu % 64);
    // SAFETY: the kernel reads at most `size` bytes.
    unsafe { sched_setaffinity(0, size, &one) };
}

fn work<M: Balance>(
    bank: &Bank<M>,
    generator: &mut Generator,
    transfers: u64,
    audit_every: u64,
    opening_total: i64,
) -> (u64, u64) {
    let accounts = bank.records.len() as u32;
    let mut refused = 0;
    let mut failed_audits = 0;
    let mut until_audit = audit_every;
    let mut held = Vec::with_capacity(if audit_every == 0 {
        0
    } else {
        bank.records.len()
    });
    for _ in 0..transfers {
        let from = generator.below(accounts);
        let mut to = generator.below(accounts - 1);
        if to >= from {
            to += 1;
        }
        let amount = 1 + i64::from(generator.below(100));
        if !bank.transfer(from as usize, to as usize, amount) {
            refused += 1;
        }
        if audit_every == 0 {
            continue;
        }
        until_audit -= 1;
        if until_audit == 0 {
            until_audit = audit_every;
            if bank.audit(&mut held) != opening_total {
                failed_audits += 1;
            }
        }
    }
    (refused, failed_audits)
}

fn teller<M: Balance>(
    options: &Options,
    bank: &Bank<M>,
    opening_total: i64,
    ready: &Barrier,
    thread: u64,
) -> Tally {
    if options.pin {
        pin_to_cpu(thread as usize);
    }
    let mut generator = Generator::new(options.seed as u32, thread as u32);
    work(bank, &mut generator, options.warmup, 0, opening_total);
    ready.wait();
    let switches = voluntary_switches();
    let start = Instant::now();
    let (refused, failed_audits) = work(
        bank,
        &mut generator,
        options.transfers,
        options.audit_every,
        opening_total,
    );
    let end = Instant::now();
    Tally {
        start,
        end,
        refused,
        failed_audits,
        sleeps: voluntary_switches() - switches,
    }
}

fn run<M: Balance>(options: &Options) {
    let bank = Bank::<M>::new(options.accounts as usize);
    let before: i64 = bank.balances().iter().sum();
    let ready = Barrier::new(options.threads as usize);
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let (bank, ready) = (&bank, &ready);
        let threads: Vec<_> = (0..options.threads)
            .map(|thread| scope.spawn(move || teller(options, bank, before, ready, thread)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a thread panicked"))
            .collect()
    });
    print(options, &tallies, before, &bank.balances());
}

fn print(options: &Options, tallies: &[Tally], before: i64, balances: &[i64]) {
    let start = tallies
        .iter()
        .map(|tally| tally.start)
        .min()
        .expect("a thread");
    let end = tallies
        .iter()
        .map(|tally| tally.end)
        .max()
        .expect("a thread");
    let seconds = (end - start).as_secs_f64();
    let transfers = options.threads * options.transfers;
    let mut line = format!(
        "{{\"language\":\"Rust\",\"variant\":\"{}\",\"threads\":{},\"accounts\":{},\
         \"transfers\":{},\"refused\":{},\"failedAudits\":{},\"totalBefore\":{},\
         \"totalAfter\":{},\"seconds\":{:.9},\"transfersPerSecond\":{:.1},\"sleeps\":{}",
        options.variant,
        options.threads,
        options.accounts,
        transfers,
        tallies.iter().map(|tally| tally.refused).sum::<u64>(),
        tallies.iter().map(|tally| tally.failed_audits).sum::<u64>(),
        before,
        balances.iter().sum::<i64>(),
        seconds,
        transfers as f64 / seconds,
        tallies.iter().map(|tally| tally.sleeps).sum::<i64>(),
    );
    if options.balances {
        let list: Vec<String> = balances.iter().map(i64::to_string).collect();
        line += &format!(",\"balances\":[{}]", list.join(","));
    }
    println!("{line}}}");
}

fn usage(problem: &str) -> ! {
    eprintln!("bank.rs: {problem}");
    std::process::exit(2)
}

fn parse(mut words: impl Iterator<Item = String>) -> Options {
    let mut options = Options {
        variant: "ordered".to_string(),
        threads: 5,
        accounts: 6,
        transfers: 10_000,
        audit_every: 1,
        seed: 1,
        warmup: 0,
        pin: false,
        balances: false,
    };
    let most = i32::MAX as u64;
    while let Some(name) = words.next() {
        let (field, least, most) = match name.as_str() {
            "--pin" => {
                options.pin = true;
                continue;
            }
            "--balances" => {
                options.balances = true;
                continue;
            }
            "--variant" => {
                let value = words.next();
                options.variant = value.unwrap_or_else(|| usage("--variant needs a value"));
                continue;
            }
            "--threads" => (&mut options.threads, 1, 1024),
            "--accounts" => (&mut options.accounts, 2, 1 << 24),
            "--transfers" => (&mut options.transfers, 1, most),
            "--audit-every" => (&mut options.audit_every, 0, most),
            "--seed" => (&mut options.seed, 0, u64::from(u32::MAX)),
            "--warmup" => (&mut options.warmup, 0, most),
            _ => usage(&format!("unknown option '{name}'")),
        };
        let value = words
            .next()
            .unwrap_or_else(|| usage(&format!("{name} needs a value")));
        *field = match value.parse() {
            Ok(number) if (least..=most).contains(&number) => number,
            _ => usage(&format!(
                "{name} must be a whole number from {least} to {most}, not '{value}'"
            )),
        };
    }
    options
}

fn main() {
    let options = parse(std::env::args().skip(1));
    match options.variant.as_str() {
        "ordered" => run::<std::sync::Mutex<i64>>(&options),
        #[cfg(feature = "parking_lot")]
        "parking_lot" => run::<parking_lot::Mutex<i64>>(&options),
        #[cfg(not(feature = "parking_lot"))]
        "parking_lot" => usage("--variant parking_lot was not built in"),
        other => usage(&format!(
            "--variant must be ordered or parking_lot, not '{other}'"
        )),
    }
}
