"""The bank in Python: accounts with a balance and a lock, threads that transfer between two
accounts, and an audit that must always find the same total. The lecture's way: a yardstick for
lockwise/threads.

  global   one threading.Lock for the whole bank
  ordered  a threading.Lock for each account, the lower number first

Accounts are objects in a list; the balance is checked inside the locks. Each thread's transfers are
drawn before the clock starts, while the other languages draw them inside the timed part: that is in
Python's favour. Where there is a global interpreter lock, a wait for it is a sleep too, so `sleeps`
counts more than waits for accounts. See README.md for the command line and the output.
Linux only: sched_setaffinity and RUSAGE_THREAD.
"""

import json
import os
import resource
import sys
import threading
import time

OPENING = [5000, 10000, 7500, 7000, 6000, 9000]
MASK = 0xFFFFFFFF
GIVE_UP_TIME_SLICE = "--yield" in sys.argv[1:]
NUMBERS = {
    "--threads": (5, 1, 1024),
    "--accounts": (6, 2, 1 << 24),
    "--transfers": (10000, 1, (1 << 31) - 1),
    "--audit-every": (1, 0, (1 << 31) - 1),
    "--seed": (1, 0, MASK),
    "--warmup": (0, 0, (1 << 31) - 1),
}


class Generator:
    """xorshift32 [Marsaglia 2003], first mixed from seed and thread by MurmurHash3's finaliser."""

    def __init__(self, seed, thread):
        state = (seed + (thread + 1) * 0x9E3779B9) & MASK
        state ^= state >> 16
        state = state * 0x85EBCA6B & MASK
        state ^= state >> 13
        state = state * 0xC2B2AE35 & MASK
        state ^= state >> 16
        self.state = state or 1

    def below(self, n):
        state = self.state
        state ^= state << 13 & MASK
        state ^= state >> 17
        state ^= state << 5 & MASK
        self.state = state
        return state * n >> 32

    def transfers(self, accounts, count):
        drawn = []
        for _ in range(count):
            payer = self.below(accounts)
            payee = self.below(accounts - 1)
            if payee >= payer:
                payee += 1
            drawn.append((payer, payee, 1 + self.below(100)))
        return drawn


class Account:
    def __init__(self, balance):
        self.balance = balance
        self.lock = threading.Lock()


def move(payer, payee, amount):
    """Only under the locks of both; False if the payer's balance is too small."""
    if payer.balance < amount:
        return False
    payer.balance -= amount
    if GIVE_UP_TIME_SLICE:
        time.sleep(0)
    payee.balance += amount
    return True


class GlobalBank:
    def __init__(self, count):
        self.accounts = [Account(OPENING[i % 6]) for i in range(count)]
        self.lock = threading.Lock()

    def transfer(self, payer, payee, amount):
        with self.lock:
            return move(self.accounts[payer], self.accounts[payee], amount)

    def audit(self):
        with self.lock:
            return self.total()

    def total(self):
        return sum(account.balance for account in self.accounts)


class OrderedBank(GlobalBank):
    def transfer(self, payer, payee, amount):
        first, second = (payer, payee) if payer < payee else (payee, payer)
        accounts = self.accounts
        with accounts[first].lock, accounts[second].lock:
            return move(accounts[payer], accounts[payee], amount)

    def audit(self):
        for account in self.accounts:
            account.lock.acquire()
        try:
            return self.total()
        finally:
            for account in self.accounts:
                account.lock.release()


BANKS = {"global": GlobalBank, "ordered": OrderedBank}


class Tally:
    def __init__(self):
        self.start_ns = self.end_ns = 0
        self.refused = self.failed_audits = self.sleeps = 0


def work(bank, transfers, audit_every, opening_total, tally):
    until_audit = audit_every
    for payer, payee, amount in transfers:
        if not bank.transfer(payer, payee, amount):
            tally.refused += 1
        if audit_every == 0:
            continue
        until_audit -= 1
        if until_audit == 0:
            until_audit = audit_every
            if bank.audit() != opening_total:
                tally.failed_audits += 1


def voluntary_switches():
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def teller(options, bank, opening_total, ready, thread, tally):
    if options["--pin"]:
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cpus[thread % len(cpus)]})
    generator = Generator(options["--seed"], thread)
    warmup = generator.transfers(options["--accounts"], options["--warmup"])
    transfers = generator.transfers(options["--accounts"], options["--transfers"])
    work(bank, warmup, 0, opening_total, Tally())
    ready.wait()
    switches = voluntary_switches()
    tally.start_ns = time.perf_counter_ns()
    work(bank, transfers, options["--audit-every"], opening_total, tally)
    tally.end_ns = time.perf_counter_ns()
    tally.sleeps = voluntary_switches() - switches


def run(options):
    bank = BANKS[options["--variant"]](options["--accounts"])
    before = bank.total()
    ready = threading.Barrier(options["--threads"])
    tallies = [Tally() for _ in range(options["--threads"])]
    threads = [
        threading.Thread(target=teller, args=(options, bank, before, ready, thread, tally))
        for thread, tally in enumerate(tallies)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    start_ns = min(tally.start_ns for tally in tallies)
    seconds = (max(tally.end_ns for tally in tallies) - start_ns) / 1e9
    transfers = options["--threads"] * options["--transfers"]
    result = {
        "language": "Python",
        "variant": options["--variant"],
        "threads": options["--threads"],
        "accounts": options["--accounts"],
        "transfers": transfers,
        "refused": sum(tally.refused for tally in tallies),
        "failedAudits": sum(tally.failed_audits for tally in tallies),
        "totalBefore": before,
        "totalAfter": bank.total(),
        "seconds": seconds,
        "transfersPerSecond": round(transfers / seconds, 1),
        "sleeps": sum(tally.sleeps for tally in tallies),
    }
    if options["--balances"]:
        result["balances"] = [account.balance for account in bank.accounts]
    print(json.dumps(result, separators=(",", ":")))


def usage(problem):
    print(f"bank.py: {problem}", file=sys.stderr)
    sys.exit(2)


def parse(words):
    options = {name: default for name, (default, _, _) in NUMBERS.items()}
    options.update({"--variant": "ordered", "--pin": False, "--balances": False, "--yield": False})
    rest = iter(words)
    for name in rest:
        if name not in options:
            usage(f"unknown option '{name}'")
        if name in ("--pin", "--balances", "--yield"):
            options[name] = True
            continue
        value = next(rest, None)
        if value is None:
            usage(f"{name} needs a value")
        if name == "--variant":
            options[name] = value
            continue
        _, least, most = NUMBERS[name]
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 19 else -1
        if not least <= number <= most:
            usage(f"{name} must be a whole number from {least} to {most}, not '{value}'")
        options[name] = number
    if options["--variant"] not in BANKS:
        usage(f"--variant must be global or ordered, not '{options['--variant']}'")
    return options


if __name__ == "__main__":
    run(parse(sys.argv[1:]))
