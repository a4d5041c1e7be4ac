;; The uncontended path of the shared-memory locks. Assembled by scripts/build-kernel.mjs.
;;
;; A lock is the address of its word; the word's states stand in layout.ts. The four bytes after the
;; word belong to whoever holds the lock and hold its link: the address of the lock taken before it,
;; so that an owner's locks form a list whose head (`top`) lies in the owner's slot.
;;
;; Steps    lock: one compare-exchange 0 -> me, then push on the list.
;;          unlock: pop from the list, then one exchange -> 0; what comes back beyond `me` are the
;;          waiter bits, and the caller wakes.
;; Invariant a lock is on its owner's list exactly while its word carries the owner, except inside
;;          these functions. Nothing here waits, allocates or traps.
;; Cost     one atomic read-modify-write to take a lock, one to free it; a pair is freed with one
;;          read-modify-write and one store (see `unlock2`).
;;
;; Answers  0 done. Taking: 1 refused by the order, 2 first lock busy, 3 second lock busy (the first
;;          is held). Freeing: -1 not on top of the list (nothing was freed), else the waiter bits
;;          of the lock (of a pair: the higher lock's in bits 0-1, the lower one's in bits 2-3).
(module
  (import "lockwise" "memory" (memory 1 32768 shared))
  ;; The word of a lock that this thread holds and nobody waits for.
  (import "lockwise" "me" (global $me i32))
  ;; The address of this owner's list head.
  (import "lockwise" "top" (global $top i32))
  ;; -1 where locks must be taken in ascending order, 0 where any order is allowed.
  (import "lockwise" "ascending" (global $ascending i32))
  ;; The address of the table's sleep count (layout.ts), by which unlock2 sees a sleeper arrive.
  (import "lockwise" "sleepCount" (global $sleepCount i32))

  (func $lock (export "lock") (param $word i32) (result i32)
    (local $before i32)
    (local.set $before (i32.load (global.get $top)))
    (if (i32.le_u (local.get $word) (i32.and (local.get $before) (global.get $ascending)))
      (then (return (i32.const 1))))
    (if (i32.atomic.rmw.cmpxchg (local.get $word) (i32.const 0) (global.get $me))
      (then (return (i32.const 2))))
    (i32.store offset=4 (local.get $word) (local.get $before))
    (i32.store (global.get $top) (local.get $word))
    (i32.const 0))

  (func $unlock (export "unlock") (param $word i32) (result i32)
    (if (i32.ne (i32.load (global.get $top)) (local.get $word))
      (then (return (i32.const -1))))
    (i32.store (global.get $top) (i32.load offset=4 (local.get $word)))
    (i32.xor (global.get $me) (i32.atomic.rmw.xchg (local.get $word) (i32.const 0))))

  ;; Takes $low, then $high; $low < $high.
  (func (export "lock2") (param $low i32) (param $high i32) (result i32)
    (local $before i32)
    (local.set $before (i32.load (global.get $top)))
    (if (i32.le_u (local.get $low) (i32.and (local.get $before) (global.get $ascending)))
      (then (return (i32.const 1))))
    (if (i32.atomic.rmw.cmpxchg (local.get $low) (i32.const 0) (global.get $me))
      (then (return (i32.const 2))))
    (i32.store offset=4 (local.get $low) (local.get $before))
    (if (i32.atomic.rmw.cmpxchg (local.get $high) (i32.const 0) (global.get $me))
      (then
        (i32.store (global.get $top) (local.get $low))
        (return (i32.const 3))))
    (i32.store offset=4 (local.get $high) (local.get $low))
    (i32.store (global.get $top) (local.get $high))
    (i32.const 0))

  ;; Frees $high, then $low, with a single read-modify-write where nobody waits for $high.
  ;;
  ;; Storing 0 over $high could wipe out a waiter bit that was set after it was looked at. Whoever
  ;; goes to sleep first sets the bit, then raises the sleep count, then lets the system compare the
  ;; word and sleep. So a wiped-out sleeper has raised the count between the two reads of it here
  ;; (the exchange on $low keeps the second read behind the store), and the caller wakes $high
  ;; although no bit is left. Where the count stands still, no sleeper was wiped out.
  (func (export "unlock2") (param $low i32) (param $high i32) (result i32)
    (local $sleeps i32)
    (if (call $notOnTop (local.get $low) (local.get $high)) (then (return (i32.const -1))))
    (local.set $sleeps (i32.atomic.load (global.get $sleepCount)))
    (if (i32.ne (i32.atomic.load (local.get $high)) (global.get $me))
      (then (return (call $exchange2 (local.get $low) (local.get $high)))))
    (i32.store (global.get $top) (i32.load offset=4 (local.get $low)))
    (i32.atomic.store (local.get $high) (i32.const 0))
    (call $freeLow (local.get $low) (local.get $sleeps)))

  ;; The same for processors with total store order (x86): there an ordinary store already comes
  ;; after everything before it, and an atomic one would cost a second locked instruction.
  (func (export "unlock2TotalStoreOrder") (param $low i32) (param $high i32) (result i32)
    (local $sleeps i32)
    (if (call $notOnTop (local.get $low) (local.get $high)) (then (return (i32.const -1))))
    (local.set $sleeps (i32.load (global.get $sleepCount)))
    (if (i32.ne (i32.load (local.get $high)) (global.get $me))
      (then (return (call $exchange2 (local.get $low) (local.get $high)))))
    (i32.store (global.get $top) (i32.load offset=4 (local.get $low)))
    (i32.store (local.get $high) (i32.const 0))
    (call $freeLow (local.get $low) (local.get $sleeps)))

  (func $notOnTop (param $low i32) (param $high i32) (result i32)
    (i32.or
      (i32.ne (i32.load (global.get $top)) (local.get $high))
      (i32.ne (i32.load offset=4 (local.get $high)) (local.get $low))))

  (func $freeLow (param $low i32) (param $sleeps i32) (result i32)
    (i32.or
      (i32.shl
        (i32.xor (global.get $me) (i32.atomic.rmw.xchg (local.get $low) (i32.const 0)))
        (i32.const 2))
      (i32.mul
        (i32.ne (local.get $sleeps) (i32.atomic.load (global.get $sleepCount)))
        (i32.const 3))))

  (func $exchange2 (param $low i32) (param $high i32) (result i32)
    (i32.or
      (call $unlock (local.get $high))
      (i32.shl (call $unlock (local.get $low)) (i32.const 2))))

  ;; Takes the locks from $first to $last, $stride bytes apart; 0, or the address of the first one
  ;; that could not be had (those before it are held).
  (func (export "lockAll") (param $first i32) (param $last i32) (param $stride i32) (result i32)
    (loop $next
      (if (call $lock (local.get $first)) (then (return (local.get $first))))
      (local.set $first (i32.add (local.get $first) (local.get $stride)))
      (br_if $next (i32.le_u (local.get $first) (local.get $last))))
    (i32.const 0))

  ;; Frees the locks from $last down to $first; 0, or the address of the first one that needs the
  ;; caller: its waiters are still to be woken, or (if its word is still held) it was not on top.
  (func (export "unlockAll") (param $first i32) (param $last i32) (param $stride i32) (result i32)
    (loop $next
      (if (call $unlock (local.get $last)) (then (return (local.get $last))))
      (local.set $last (i32.sub (local.get $last) (local.get $stride)))
      (br_if $next (i32.ge_u (local.get $last) (local.get $first))))
    (i32.const 0)))
