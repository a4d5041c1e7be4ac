/*
 * The bank in Java: accounts with a balance and a lock, threads that transfer between two accounts,
 * and an audit that must always find the same total. A yardstick for lockwise/threads.
 *
 *   ordered  both accounts' java.util.concurrent.locks.ReentrantLock, the lower number first
 *
 * Java does not lay out records: an Account is an object with padding fields, and its lock's state
 * lies in two objects more (ReentrantLock and the Sync inside it), allocated right after it. The
 * padding keeps two accounts' locks a cache line apart as long as the collector leaves them in that
 * order; it cannot put a lock and its balance into the same line. A transfer is drawn inside the
 * timed part. Nothing is compiled yet when a thread starts: give it a --warmup. See README.md for
 * the command line and the output. Java has no call that pins a thread, so --pin is ignored.
 * Linux only: it reads /proc/thread-self/status.
 */

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.locks.ReentrantLock;
import java.util.stream.Collectors;
import java.util.stream.LongStream;

public final class Bank {
  private static final long[] OPENING = {5000, 10000, 7500, 7000, 6000, 9000};

  /** An account; the padding is never read. */
  private static final class Account {
    final ReentrantLock lock = new ReentrantLock();
    long balance;
    long pad0, pad1, pad2, pad3, pad4, pad5, pad6, pad7;

    Account(long balance) {
      this.balance = balance;
    }
  }

  /** xorshift32 [Marsaglia 2003], first mixed from seed and thread by MurmurHash3's finaliser. */
  private static final class Generator {
    private int state;

    Generator(int seed, int thread) {
      int mixed = seed + (thread + 1) * 0x9E3779B9;
      mixed ^= mixed >>> 16;
      mixed *= 0x85EBCA6B;
      mixed ^= mixed >>> 13;
      mixed *= 0xC2B2AE35;
      mixed ^= mixed >>> 16;
      state = mixed == 0 ? 1 : mixed;
    }

    int below(int n) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return (int) ((Integer.toUnsignedLong(state) * n) >>> 32);
    }
  }

  /** What one thread did, and when. */
  private static final class Tally {
    long startNs;
    long endNs;
    long refused;
    long failedAudits;
    long sleeps;
  }

  private static final class Options {
    String variant = "ordered";
    int threads = 5;
    int accounts = 6;
    int transfers = 10000;
    int auditEvery = 1;
    int seed = 1;
    int warmup = 0;
    boolean balances = false;
  }

  private final Options options;
  private final Account[] accounts;
  private final long openingTotal;

  private Bank(Options options) {
    this.options = options;
    accounts = new Account[options.accounts];
    for (int i = 0; i < accounts.length; i++) {
      accounts[i] = new Account(OPENING[i % OPENING.length]);
    }
    openingTotal = balances().sum();
  }

  /** Only when no thread runs. */
  private LongStream balances() {
    return List.of(accounts).stream().mapToLong(account -> account.balance);
  }

  /** False if the payer's balance is too small. */
  private boolean transfer(int from, int to, long amount) {
    Account payer = accounts[from];
    Account payee = accounts[to];
    ReentrantLock first = from < to ? payer.lock : payee.lock;
    ReentrantLock second = from < to ? payee.lock : payer.lock;
    first.lock();
    try {
      second.lock();
      try {
        if (payer.balance < amount) return false;
        payer.balance -= amount;
        payee.balance += amount;
        return true;
      } finally {
        second.unlock();
      }
    } finally {
      first.unlock();
    }
  }

  /** Takes every lock in order, sums, and frees them all. */
  private long audit() {
    for (Account account : accounts) account.lock.lock();
    long total = 0;
    for (Account account : accounts) total += account.balance;
    for (Account account : accounts) account.lock.unlock();
    return total;
  }

  private void work(Generator generator, int transfers, int auditEvery, Tally tally) {
    int untilAudit = auditEvery;
    for (int i = 0; i < transfers; i++) {
      int from = generator.below(accounts.length);
      int to = generator.below(accounts.length - 1);
      if (to >= from) to++;
      long amount = 1 + generator.below(100);
      if (!transfer(from, to, amount)) tally.refused++;
      if (auditEvery == 0 || --untilAudit > 0) continue;
      untilAudit = auditEvery;
      if (audit() != openingTotal) tally.failedAudits++;
    }
  }

  private Tally teller(CyclicBarrier ready, int thread) {
    try {
      Generator generator = new Generator(options.seed, thread);
      work(generator, options.warmup, 0, new Tally());
      voluntarySwitches();
      ready.await();
      Tally tally = new Tally();
      long switches = voluntarySwitches();
      tally.startNs = System.nanoTime();
      work(generator, options.transfers, options.auditEvery, tally);
      tally.endNs = System.nanoTime();
      tally.sleeps = voluntarySwitches() - switches;
      return tally;
    } catch (InterruptedException | BrokenBarrierException | IOException error) {
      throw new IllegalStateException(error);
    }
  }

  private static long voluntarySwitches() throws IOException {
    String name = "voluntary_ctxt_switches:";
    for (String line : Files.readAllLines(Path.of("/proc/thread-self/status"))) {
      if (line.startsWith(name)) return Long.parseLong(line.substring(name.length()).trim());
    }
    throw new IOException("no " + name + " in /proc/thread-self/status");
  }

  private void run() throws InterruptedException {
    CyclicBarrier ready = new CyclicBarrier(options.threads);
    Tally[] tallies = new Tally[options.threads];
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < options.threads; i++) {
      int thread = i;
      threads.add(new Thread(() -> tallies[thread] = teller(ready, thread)));
    }
    for (Thread thread : threads) thread.start();
    for (Thread thread : threads) thread.join();
    print(List.of(tallies));
  }

  private void print(List<Tally> tallies) {
    // nanoTime has an arbitrary origin: only differences mean anything.
    long origin = tallies.get(0).startNs;
    long start = tallies.stream().mapToLong(tally -> tally.startNs - origin).min().getAsLong();
    long end = tallies.stream().mapToLong(tally -> tally.endNs - origin).max().getAsLong();
    double seconds = (end - start) / 1e9;
    long transfers = (long) options.threads * options.transfers;
    String line = String.format(
        Locale.ROOT,
        "{\"language\":\"Java\",\"variant\":\"%s\",\"threads\":%d,\"accounts\":%d,"
            + "\"transfers\":%d,\"refused\":%d,\"failedAudits\":%d,\"totalBefore\":%d,"
            + "\"totalAfter\":%d,\"seconds\":%.9f,\"transfersPerSecond\":%.1f,\"sleeps\":%d",
        options.variant,
        options.threads,
        options.accounts,
        transfers,
        tallies.stream().mapToLong(tally -> tally.refused).sum(),
        tallies.stream().mapToLong(tally -> tally.failedAudits).sum(),
        openingTotal,
        balances().sum(),
        seconds,
        transfers / seconds,
        tallies.stream().mapToLong(tally -> tally.sleeps).sum());
    if (options.balances) {
      String list = balances().mapToObj(Long::toString).collect(Collectors.joining(","));
      line += ",\"balances\":[" + list + "]";
    }
    System.out.println(line + "}");
  }

  private static Options parse(String[] words) {
    Options options = new Options();
    for (int i = 0; i < words.length; i++) {
      String name = words[i];
      switch (name) {
        case "--pin" -> {}
        case "--balances" -> options.balances = true;
        case "--variant" -> options.variant = valueOf(words, i++);
        case "--threads" -> options.threads = (int) number(words, i++, 1, 1024);
        case "--accounts" -> options.accounts = (int) number(words, i++, 2, 1 << 24);
        case "--transfers" -> options.transfers = (int) number(words, i++, 1, Integer.MAX_VALUE);
        case "--audit-every" -> options.auditEvery = (int) number(words, i++, 0, Integer.MAX_VALUE);
        case "--seed" -> options.seed = (int) number(words, i++, 0, 0xFFFFFFFFL);
        case "--warmup" -> options.warmup = (int) number(words, i++, 0, Integer.MAX_VALUE);
        default -> throw new IllegalArgumentException("unknown option '" + name + "'");
      }
    }
    if (!options.variant.equals("ordered")) {
      throw new IllegalArgumentException(
          "--variant must be ordered, not '" + options.variant + "'");
    }
    return options;
  }

  private static String valueOf(String[] words, int nameAt) {
    if (nameAt + 1 < words.length) return words[nameAt + 1];
    throw new IllegalArgumentException(words[nameAt] + " needs a value");
  }

  private static long number(String[] words, int nameAt, long least, long most) {
    String value = valueOf(words, nameAt);
    if (value.matches("[0-9]{1,18}")) {
      long number = Long.parseLong(value);
      if (number >= least && number <= most) return number;
    }
    throw new IllegalArgumentException(
        words[nameAt] + " must be a whole number from " + least + " to " + most + ", not '"
            + value + "'");
  }

  public static void main(String[] words) throws InterruptedException {
    Options options;
    try {
      options = parse(words);
    } catch (IllegalArgumentException problem) {
      System.err.println("Bank.java: " + problem.getMessage());
      System.exit(2);
      return;
    }
    new Bank(options).run();
  }
}
