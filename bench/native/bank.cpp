// The bank in C++: accounts with a balance and a lock, threads that transfer between two accounts,
// and an audit that must always find the same total. A yardstick for lockwise/threads.
//
//   scoped_lock  std::scoped_lock of both std::mutex (std::lock: try one, back off, try again)
//   ordered      both accounts' std::mutex by std::lock_guard, the lower number first
//   futex        the same order with a futex mutex of one 32-bit word
//   global       one std::mutex for the whole bank
//
// A record is one cache line: its mutex, then its balance; under `global` only the balance. A
// transfer is drawn inside the timed part. See README.md for the command line and the output.
// Linux only: futex, sched_setaffinity and RUSAGE_THREAD.

#include <linux/futex.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string_view variant = "ordered";
  uint64_t threads = 5;
  uint64_t accounts = 6;
  uint64_t transfers = 10000;
  uint64_t audit_every = 1;
  uint64_t seed = 1;
  uint64_t warmup = 0;
  bool pin = false;
  bool balances = false;
};

// xorshift32 [Marsaglia 2003], its state mixed from seed and thread by MurmurHash3's finaliser.
class Generator {
 public:
  Generator(uint32_t seed, uint32_t thread) : state_(seed + (thread + 1) * 0x9E3779B9u) {
    state_ ^= state_ >> 16;
    state_ *= 0x85EBCA6Bu;
    state_ ^= state_ >> 13;
    state_ *= 0xC2B2AE35u;
    state_ ^= state_ >> 16;
    if (state_ == 0) state_ = 1;
  }

  uint32_t below(uint32_t n) { return static_cast<uint32_t>((uint64_t{next()} * n) >> 32); }

 private:
  uint32_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return state_;
  }

  uint32_t state_;
};

// A mutex of one word, after the third one in Ulrich Drepper's "Futexes Are Tricky".
//
//   word  means                  written by
//   0     free                   the holder, as it frees
//   1     held, nobody sleeps    a taker that found 0
//   2     held, some may sleep   a taker that is about to sleep or has slept
//
// Taking it when free and freeing it are one atomic operation each. Before its first sleep a taker
// looks kSpins times: a sleep and a wake cost as much as a thousand transfers.
class FutexMutex {
 public:
  void lock() {
    if (take_free() || spin()) return;
    while (word_.exchange(2, std::memory_order_acquire) != 0) futex(FUTEX_WAIT_PRIVATE, 2);
  }

  void unlock() {
    if (word_.exchange(0, std::memory_order_release) == 2) futex(FUTEX_WAKE_PRIVATE, 1);
  }

 private:
  static constexpr int kSpins = 40;

  bool take_free() {
    uint32_t free = 0;
    return word_.compare_exchange_strong(free, 1, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }

  bool spin() {
    for (int i = 0; i < kSpins; i++) {
      if (word_.load(std::memory_order_relaxed) == 0 && take_free()) return true;
      pause();
    }
    return false;
  }

  static void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  void futex(int operation, uint32_t value) {
    syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word_), operation, value, nullptr, nullptr, 0);
  }

  std::atomic<uint32_t> word_{0};
};

struct NoMutex {};

template <class Mutex>
struct alignas(64) Record {
  [[no_unique_address]] Mutex mutex;
  int64_t balance = 0;
};

template <class Mutex>
class Accounts {
 public:
  explicit Accounts(size_t count) : records_(count) {
    static constexpr std::array<int64_t, 6> kOpening = {5000, 10000, 7500, 7000, 6000, 9000};
    for (size_t i = 0; i < count; i++) records_[i].balance = kOpening[i % kOpening.size()];
  }

  Record<Mutex>& operator[](size_t account) { return records_[account]; }

  void lock_all() {
    for (auto& record : records_) record.mutex.lock();
  }

  void unlock_all() {
    for (auto& record : records_) record.mutex.unlock();
  }

  // Only under all locks, or when no thread runs.
  int64_t total() const {
    int64_t sum = 0;
    for (const auto& record : records_) sum += record.balance;
    return sum;
  }

  std::vector<int64_t> balances() const {
    std::vector<int64_t> result;
    for (const auto& record : records_) result.push_back(record.balance);
    return result;
  }

  // Only under both locks; false if the payer's balance is too small.
  static bool move(Record<Mutex>& payer, Record<Mutex>& payee, int64_t amount) {
    if (payer.balance < amount) return false;
    payer.balance -= amount;
    payee.balance += amount;
    return true;
  }

 private:
  std::vector<Record<Mutex>> records_;
};

// What each variant is: how it takes two accounts for a transfer, and all of them for an audit.

template <class Mutex>
struct Fine {
  explicit Fine(size_t count) : accounts(count) {}

  int64_t audit() {
    accounts.lock_all();
    const int64_t total = accounts.total();
    accounts.unlock_all();
    return total;
  }

  Accounts<Mutex> accounts;
};

template <class Mutex>
struct Ordered : Fine<Mutex> {
  using Fine<Mutex>::Fine;

  bool transfer(uint32_t from, uint32_t to, int64_t amount) {
    auto& payer = this->accounts[from];
    auto& payee = this->accounts[to];
    std::lock_guard first(from < to ? payer.mutex : payee.mutex);
    std::lock_guard second(from < to ? payee.mutex : payer.mutex);
    return Accounts<Mutex>::move(payer, payee, amount);
  }
};

struct Scoped : Fine<std::mutex> {
  using Fine::Fine;

  bool transfer(uint32_t from, uint32_t to, int64_t amount) {
    auto& payer = accounts[from];
    auto& payee = accounts[to];
    std::scoped_lock both(payer.mutex, payee.mutex);
    return Accounts<std::mutex>::move(payer, payee, amount);
  }
};

struct Global {
  explicit Global(size_t count) : accounts(count) {}

  bool transfer(uint32_t from, uint32_t to, int64_t amount) {
    std::lock_guard held(mutex);
    return Accounts<NoMutex>::move(accounts[from], accounts[to], amount);
  }

  int64_t audit() {
    std::lock_guard held(mutex);
    return accounts.total();
  }

  alignas(64) std::mutex mutex;
  alignas(64) Accounts<NoMutex> accounts;
};

struct Tally {
  Clock::time_point start;
  Clock::time_point end;
  uint64_t refused = 0;
  uint64_t failed_audits = 0;
  uint64_t sleeps = 0;
};

// Pins the caller to the CPU `thread % n` of the n that this process may use.
void pin_to_cpu(uint64_t thread) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  uint64_t skip = thread % static_cast<uint64_t>(CPU_COUNT(&allowed));
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &allowed) || skip-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

uint64_t voluntary_switches() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return static_cast<uint64_t>(usage.ru_nvcsw);
}

template <class Bank>
void work(Bank& bank, Generator& generator, uint32_t accounts, uint64_t transfers,
          uint64_t audit_every, int64_t opening_total, Tally& tally) {
  uint64_t until_audit = audit_every;
  for (uint64_t i = 0; i < transfers; i++) {
    const uint32_t from = generator.below(accounts);
    uint32_t to = generator.below(accounts - 1);
    if (to >= from) to++;
    const int64_t amount = 1 + generator.below(100);
    if (!bank.transfer(from, to, amount)) tally.refused++;
    if (audit_every == 0 || --until_audit > 0) continue;
    until_audit = audit_every;
    if (bank.audit() != opening_total) tally.failed_audits++;
  }
}

void print(const Options& options, const std::vector<Tally>& tallies, int64_t before, int64_t after,
           const std::vector<int64_t>& balances) {
  Tally all = tallies.front();
  for (size_t i = 1; i < tallies.size(); i++) {
    all.start = std::min(all.start, tallies[i].start);
    all.end = std::max(all.end, tallies[i].end);
    all.refused += tallies[i].refused;
    all.failed_audits += tallies[i].failed_audits;
    all.sleeps += tallies[i].sleeps;
  }
  const uint64_t transfers = options.threads * options.transfers;
  const double seconds = std::chrono::duration<double>(all.end - all.start).count();
  std::printf(
      "{\"language\":\"C++\",\"variant\":\"%s\",\"threads\":%ju,\"accounts\":%ju,"
      "\"transfers\":%ju,\"refused\":%ju,\"failedAudits\":%ju,\"totalBefore\":%jd,"
      "\"totalAfter\":%jd,\"seconds\":%.9f,\"transfersPerSecond\":%.1f,\"sleeps\":%ju",
      std::string(options.variant).c_str(), uintmax_t{options.threads},
      uintmax_t{options.accounts}, uintmax_t{transfers}, uintmax_t{all.refused},
      uintmax_t{all.failed_audits}, intmax_t{before}, intmax_t{after}, seconds,
      static_cast<double>(transfers) / seconds, uintmax_t{all.sleeps});
  if (options.balances) {
    std::printf(",\"balances\":[");
    for (size_t i = 0; i < balances.size(); i++) {
      std::printf("%s%jd", i == 0 ? "" : ",", intmax_t{balances[i]});
    }
    std::printf("]");
  }
  std::printf("}\n");
}

template <class Bank>
void run(const Options& options) {
  Bank bank(options.accounts);
  const int64_t before = bank.accounts.total();
  std::vector<Tally> tallies(options.threads);
  std::barrier ready(static_cast<std::ptrdiff_t>(options.threads));

  const auto teller = [&](uint32_t thread) {
    if (options.pin) pin_to_cpu(thread);
    Generator generator(static_cast<uint32_t>(options.seed), thread);
    const uint32_t accounts = static_cast<uint32_t>(options.accounts);
    Tally untimed;
    work(bank, generator, accounts, options.warmup, 0, before, untimed);
    ready.arrive_and_wait();
    Tally tally;
    const uint64_t switches = voluntary_switches();
    tally.start = Clock::now();
    work(bank, generator, accounts, options.transfers, options.audit_every, before, tally);
    tally.end = Clock::now();
    tally.sleeps = voluntary_switches() - switches;
    tallies[thread] = tally;
  };

  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < options.threads; i++) threads.emplace_back(teller, i);
  for (auto& thread : threads) thread.join();
  print(options, tallies, before, bank.accounts.total(), bank.accounts.balances());
}

[[noreturn]] void usage(const std::string& problem) {
  std::fprintf(stderr, "bank.cpp: %s\n", problem.c_str());
  std::exit(2);
}

Options parse(int argc, char** argv) {
  struct Number {
    std::string_view name;
    uint64_t* value;
    uint64_t least;
    uint64_t most;
  };
  Options options;
  const std::array<Number, 6> numbers = {{
      {"--threads", &options.threads, 1, 1024},
      {"--accounts", &options.accounts, 2, 1 << 24},
      {"--transfers", &options.transfers, 1, INT32_MAX},
      {"--audit-every", &options.audit_every, 0, INT32_MAX},
      {"--seed", &options.seed, 0, UINT32_MAX},
      {"--warmup", &options.warmup, 0, INT32_MAX},
  }};
  for (int i = 1; i < argc; i++) {
    const std::string_view name = argv[i];
    if (name == "--pin" || name == "--balances") {
      (name == "--pin" ? options.pin : options.balances) = true;
      continue;
    }
    const auto number = std::ranges::find(numbers, name, &Number::name);
    if (name != "--variant" && number == numbers.end()) {
      usage("unknown option '" + std::string(name) + "'");
    }
    if (++i == argc) usage(std::string(name) + " needs a value");
    const std::string_view value = argv[i];
    if (name == "--variant") {
      options.variant = value;
      continue;
    }
    const auto [end, error] =
        std::from_chars(value.data(), value.data() + value.size(), *number->value);
    if (error != std::errc() || end != value.data() + value.size() ||
        *number->value < number->least || *number->value > number->most) {
      usage(std::string(name) + " must be a whole number from " + std::to_string(number->least) +
            " to " + std::to_string(number->most) + ", not '" + std::string(value) + "'");
    }
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (options.variant == "scoped_lock") {
    run<Scoped>(options);
  } else if (options.variant == "ordered") {
    run<Ordered<std::mutex>>(options);
  } else if (options.variant == "futex") {
    run<Ordered<FutexMutex>>(options);
  } else if (options.variant == "global") {
    run<Global>(options);
  } else {
    usage("--variant must be scoped_lock, ordered, futex or global, not '" +
          std::string(options.variant) + "'");
  }
}
