;; The uncontended path of the shared-memory locks. Assembled by scripts/build-kernel.mjs.
;;
;; A lock is given by the number of a record; layout.ts lists the states of its word. The four bytes
;; after the word belong to the holder and contain its link: the address of the lock taken before it.
;; So an owner's locks form a list whose head (`top`) is in the owner's slot.
;;
;; Steps    lock: one compare-exchange 0 -> me, then push on the list.
;;          unlock: pop from the list, then one exchange -> 0. The bits that it returns beyond `me` are
;;          the waiter bits; the caller wakes the waiters.
;; Invariant a lock is on its owner's list exactly while its word carries the owner, except inside
;;          these functions, and in other code that has published an intent (deaths.ts). Nothing here
;;          waits, allocates or traps; the caller checks the numbers.
;; Cost     one atomic read-modify-write to take a lock, one to release it; two stores release a pair
;;          (see `unlock2`).
;;
;; Answers  lock, lock2: 0 done, 1 refused by the order, 2 (lower) lock busy, 3 higher lock busy and the
;;          lower one held. unlock, unlock2: -1 not on top of the list and nothing released, else the
;;          waiter bits of the lock (for a pair: the higher one's in bits 0-1, the lower one's from bit 2
;;          up). lockAll, unlockAll: -1 done, else the lock at which the caller must go on; unlockAll
;;          also returns -2 - the lock, if it is not on top of the list and stays held.
(module
  (import "lockwise" "memory" (memory 1 32768 shared))
  ;; The globals are settings of one owner: the build makes constants of them.
  ;; The word of a lock that this owner holds and nobody waits for.
  (import "lockwise" "me" (global $me i32))
  ;; The address of this owner's list head.
  (import "lockwise" "top" (global $top i32))
  ;; -1 where locks must be taken in ascending order, 0 where any order is allowed.
  (import "lockwise" "ascending" (global $ascending i32))
  ;; The address of the table's sleep count (layout.ts), by which unlock2 notices a new sleeper.
  (import "lockwise" "sleepCount" (global $sleepCount i32))
  ;; The address of lock 0, the bytes from one lock to the next, and the number of the last lock.
  (import "lockwise" "base" (global $base i32))
  (import "lockwise" "stride" (global $stride i32))
  (import "lockwise" "last" (global $last i32))
  ;; The number of locks if records share them, else 0.
  (import "lockwise" "stripes" (global $stripes i32))

  ;; The build inlines this function, $isNotOnTop and $wakeAllIfChanged.
  (func $address (param $record i32) (result i32)
    (i32.add (global.get $base)
      (i32.mul (global.get $stride)
        (if (result i32) (global.get $stripes)
          (then (i32.rem_u (local.get $record) (global.get $stripes)))
          (else (local.get $record))))))

  (func $take (param $word i32) (result i32)
    (local $before i32)
    (local.set $before (i32.load (global.get $top)))
    (if (i32.le_u (local.get $word) (i32.and (local.get $before) (global.get $ascending)))
      (then (return (i32.const 1))))
    (if (i32.atomic.rmw.cmpxchg (local.get $word) (i32.const 0) (global.get $me))
      (then (return (i32.const 2))))
    (i32.store offset=4 (local.get $word) (local.get $before))
    (i32.store (global.get $top) (local.get $word))
    (i32.const 0))

  (func $release (param $word i32) (result i32)
    (if (i32.ne (i32.load (global.get $top)) (local.get $word))
      (then (return (i32.const -1))))
    (i32.store (global.get $top) (i32.load offset=4 (local.get $word)))
    (i32.xor (global.get $me) (i32.atomic.rmw.xchg (local.get $word) (i32.const 0))))

  (func (export "lock") (param $record i32) (result i32)
    (call $take (call $address (local.get $record))))

  (func (export "unlock") (param $record i32) (result i32)
    (call $release (call $address (local.get $record))))

  ;; Takes the lower lock, then the higher one; only one lock if both records share it.
  (func (export "lock2") (param $a i32) (param $b i32) (result i32)
    (local $low i32) (local $high i32) (local $before i32)
    (local.set $a (call $address (local.get $a)))
    (local.set $b (call $address (local.get $b)))
    (local.set $low
      (select (local.get $a) (local.get $b) (i32.lt_u (local.get $a) (local.get $b))))
    (local.set $high (i32.sub (i32.add (local.get $a) (local.get $b)) (local.get $low)))
    (if (i32.eq (local.get $a) (local.get $b)) (then (return (call $take (local.get $a)))))
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

  ;; Releases the higher lock, then the lower one, by stores if nobody waits for either.
  ;;
  ;; A store could erase a waiter bit that was set after the word was read. A sleeper first sets the bit,
  ;; then raises the sleep count, then lets the system compare the word and sleep. All of these operations
  ;; and all of ours have one order. A sleeper whose bit was erased set it after our first reading of the
  ;; count. It sleeps only if the comparison still found the bit, so before our store. So it raised the
  ;; count between the two readings. The caller then wakes both locks although no bit is left. If the count
  ;; did not change, no sleeper's bit was erased.
  (func (export "unlock2") (param $a i32) (param $b i32) (result i32)
    (local $low i32) (local $high i32) (local $sleeps i32)
    (local.set $a (call $address (local.get $a)))
    (local.set $b (call $address (local.get $b)))
    (local.set $low
      (select (local.get $a) (local.get $b) (i32.lt_u (local.get $a) (local.get $b))))
    (local.set $high (i32.sub (i32.add (local.get $a) (local.get $b)) (local.get $low)))
    (if (i32.eq (local.get $a) (local.get $b)) (then (return (call $release (local.get $a)))))
    (local.set $sleeps (i32.atomic.load (global.get $sleepCount)))
    (if (i32.or
          (call $isNotOnTop (local.get $low) (local.get $high))
          (i32.xor (global.get $me)
            (i32.or (i32.atomic.load (local.get $low)) (i32.atomic.load (local.get $high)))))
      (then (return (call $exchange2 (local.get $low) (local.get $high)))))
    (i32.store (global.get $top) (i32.load offset=4 (local.get $low)))
    (i32.atomic.store (local.get $high) (i32.const 0))
    (i32.atomic.store (local.get $low) (i32.const 0))
    (call $wakeAllIfChanged (local.get $sleeps)))

  ;; The same with plain stores, for processors with total store order (x86), where an atomic store
  ;; costs as much as a read-modify-write. One thing differs from the above: the stores wait in the
  ;; processor's store buffer, behind earlier ones that may miss the cache, and can become visible
  ;; after the second reading of the count. A sleeper that comes in between loses its waiter bit, and
  ;; nobody wakes it. The sleeper pays for that, not this path: its first sleep outlasts the store
  ;; buffer, and then it checks the word again (acquire.ts).
  (func (export "unlock2TotalStoreOrder") (param $a i32) (param $b i32) (result i32)
    (local $low i32) (local $high i32) (local $sleeps i32)
    (local.set $a (call $address (local.get $a)))
    (local.set $b (call $address (local.get $b)))
    (local.set $low
      (select (local.get $a) (local.get $b) (i32.lt_u (local.get $a) (local.get $b))))
    (local.set $high (i32.sub (i32.add (local.get $a) (local.get $b)) (local.get $low)))
    (if (i32.eq (local.get $a) (local.get $b)) (then (return (call $release (local.get $a)))))
    (local.set $sleeps (i32.load (global.get $sleepCount)))
    (if (i32.or
          (call $isNotOnTop (local.get $low) (local.get $high))
          (i32.xor (global.get $me)
            (i32.or (i32.load (local.get $low)) (i32.load (local.get $high)))))
      (then (return (call $exchange2 (local.get $low) (local.get $high)))))
    (i32.store (global.get $top) (i32.load offset=4 (local.get $low)))
    (i32.store (local.get $high) (i32.const 0))
    (i32.store (local.get $low) (i32.const 0))
    (call $wakeAllIfChanged (local.get $sleeps)))

  ;; 0 if the pair is on top of the list.
  (func $isNotOnTop (param $low i32) (param $high i32) (result i32)
    (i32.or
      (i32.xor (i32.load (global.get $top)) (local.get $high))
      (i32.xor (i32.load offset=4 (local.get $high)) (local.get $low))))

  ;; All waiter bits of both locks if the sleep count is no longer $sleeps, else 0.
  (func $wakeAllIfChanged (param $sleeps i32) (result i32)
    (i32.mul
      (i32.ne (local.get $sleeps) (i32.atomic.load (global.get $sleepCount)))
      (i32.const 15)))

  ;; Releases a pair that is not on top of the list, or that somebody waits for.
  (func $exchange2 (param $low i32) (param $high i32) (result i32)
    (if (call $isNotOnTop (local.get $low) (local.get $high)) (then (return (i32.const -1))))
    (i32.or
      (call $release (local.get $high))
      (i32.shl (call $release (local.get $low)) (i32.const 2))))

  ;; Takes the locks from number $lock to the last. Returns -1, or the first lock that it could not take;
  ;; the locks before that one are held.
  (func (export "lockAll") (param $lock i32) (result i32)
    (loop $next
      (if (call $take
            (i32.add (global.get $base) (i32.mul (local.get $lock) (global.get $stride))))
        (then (return (local.get $lock))))
      (local.set $lock (i32.add (local.get $lock) (i32.const 1)))
      (br_if $next (i32.le_u (local.get $lock) (global.get $last))))
    (i32.const -1))

  ;; Releases the locks from number $lock down to 0. Returns -1, or the first lock that needs the caller:
  ;; its number if its waiters are still to be woken, -2 - its number if it was not on top.
  (func (export "unlockAll") (param $lock i32) (result i32)
    (local $answer i32)
    (loop $next
      (local.set $answer
        (call $release
          (i32.add (global.get $base) (i32.mul (local.get $lock) (global.get $stride)))))
      (if (local.get $answer)
        (then
          (return
            (select
              (i32.sub (i32.const -2) (local.get $lock))
              (local.get $lock)
              (i32.lt_s (local.get $answer) (i32.const 0))))))
      (local.set $lock (i32.sub (local.get $lock) (i32.const 1)))
      (br_if $next (i32.ge_s (local.get $lock) (i32.const 0))))
    (i32.const -1)))
