internal import Glibc
package import MartletIO
package import MartletPrimitives
internal import Synchronization

/// A durable log of channel messages in one SQLite file, shared by all workers.
///
/// One thread writes. What was handed over while it was busy becomes the next transaction (group commit), so a lone message
/// is on its way at once, and under load hundreds share one commit. Answers go to the loops that asked, one post for each
/// loop and batch, and only after the commit: a subscriber never holds a cursor that a restart would give to another message.
package final class MessageStore: Sendable {
  package enum Synchronous: String, Sendable, CaseIterable {
    /// Survives `kill -9`; a power cut may cost the last moments, never the file.
    case normal
    /// Survives a power cut too: every commit waits for the disk.
    case full
  }

  package struct Limits: Sendable {
    /// What may wait for the disk, over all channels; beyond it an append is refused.
    package var waitingMessages = 65_536
    package var waitingBytes = 64 << 20
    /// Messages of one transaction.
    package var batch = 256
    /// How long a message waits for company while others come, so that a commit is worth its price.
    package var gathering = TimeSpan.milliseconds(2)
    /// Between two looks at channels that nobody writes to.
    package var sweep = TimeSpan.seconds(1)
    /// The size of the file; 0 is what the disk has. Beyond it, as on a full disk, appends fail.
    package var fileBytes = 0
    package init() {}
  }

  private enum Work {
    case open(String, Retention, then: @Sendable (LoopContext, Result<StoredHistory, StorageError>) -> Void)
    case append([StoredMessage], size: Int, then: @Sendable (LoopContext, Result<Void, StorageError>) -> Void)
    case sweep
  }
  private struct Job {
    let loop: EventLoop
    let work: Work
  }
  private struct State {
    var jobs = Deque<Job>()
    var messages = 0, bytes = 0
    var isDraining = false, isClosed = false, sweeps = false
  }
  private typealias Answers = [ObjectIdentifier: (loop: EventLoop, calls: [@Sendable (LoopContext) -> Void])]

  private let state = Mutex(State())
  private let disk: Mutex<MessageLog>
  private let thread = ThreadPool(name: "martlet-store", limit: 1)
  private let limits: Limits
  private let log: Log
  private let wallTime: @Sendable () -> Int64
  /// Touched by the writer alone.
  private let lastCommit = Atomic<Int64>(.min)
  private let isFailing = Atomic<Bool>(false)

  /// Opens or makes the file, which may take as long as the disk takes.
  /// - Parameter wallTime: milliseconds since 1970, for retention.
  package init(
    path: String, synchronous: Synchronous = .normal, limits: Limits = Limits(), log: Log,
    wallTime: @escaping @Sendable () -> Int64 = { MessageStore.realTime }
  ) throws(StorageError) {
    disk = Mutex(try MessageLog(path: path, isPowerSafe: synchronous == .full, fileBytes: limits.fileBytes))
    self.limits = limits
    self.log = log
    self.wallTime = wallTime
  }

  // MARK: From the loops

  /// Makes the channel if it is new and reads what retention leaves of it. Must come before the channel's first append;
  /// opening it again reads it again and changes its retention.
  package func open(
    channel name: String, retention: Retention, on loop: EventLoop,
    then: @escaping @Sendable (LoopContext, Result<StoredHistory, StorageError>) -> Void
  ) {
    if let error = submit(Job(loop: loop, work: .open(name, retention, then: then)), messages: 0, bytes: 0) {
      return loop.post { then($0, .failure(error)) }
    }
    sweep(regularlyOn: loop)
  }

  /// Stores messages of open channels, all of them or none. An offset must be behind those of its channel; gaps are allowed.
  /// - Parameter then: called once on `loop`, in the order of the calls: when it hears of success, the commit is done.
  package func append(
    _ messages: [StoredMessage], on loop: EventLoop, then: @escaping @Sendable (LoopContext, Result<Void, StorageError>) -> Void
  ) {
    let size = messages.reduce(0) { $0 &+ $1.size }
    let job = Job(loop: loop, work: .append(messages, size: size, then: then))
    if let error = submit(job, messages: messages.count, bytes: size) { loop.post { then($0, .failure(error)) } }
  }

  /// Commits what waits, closes the file and ends the thread. What comes later is refused.
  package func close() {
    let wasOpen = state.withLock { state in
      defer { state.isClosed = true }
      return !state.isClosed
    }
    guard wasOpen else { return }
    thread.close()
    disk.withLock { $0.close() }
  }

  private func submit(_ job: Job, messages: Int, bytes: Int) -> StorageError? {
    let (error, mustStart) = state.withLock { state -> (StorageError?, Bool) in
      guard !state.isClosed else { return (.closed, false) }
      guard state.messages + messages <= limits.waitingMessages, state.bytes + bytes <= limits.waitingBytes else {
        return (.overloaded, false)
      }
      // An open waits in no other limit.
      guard state.jobs.count < limits.waitingMessages else { return (.overloaded, false) }
      state.jobs.append(job)
      state.messages += messages
      state.bytes += bytes
      defer { state.isDraining = true }
      return (nil, !state.isDraining)
    }
    // Closed in between: nobody will write what was just queued.
    if mustStart, !thread.submit(beyondLimit: true, { [self] in drain() }) {
      for (loop, calls) in refuse(take(), .closed).values { loop.post { context in for call in calls { call(context) } } }
    }
    return error
  }

  /// The first loop that opens a channel keeps the time for everybody.
  private func sweep(regularlyOn loop: EventLoop) {
    let isFirst = state.withLock { state in
      defer { state.sweeps = true }
      return !state.sweeps
    }
    if isFirst { loop.post { [self] in sweepLater($0) } }
  }

  private func sweepLater(_ context: LoopContext) {
    context.schedule(after: limits.sweep) { [self, unowned context] in
      guard submit(Job(loop: context.loop, work: .sweep), messages: 0, bytes: 0) != .closed else { return }
      sweepLater(context)
    }
  }

  // MARK: On the writer's thread

  private func drain() {
    gather()
    while true {
      let jobs = take()
      guard !jobs.isEmpty else { return }
      write(jobs)
      lastCommit.store(Self.monotonic, ordering: .relaxed)
    }
  }

  /// Alone, a message goes at once; when the last commit has just been, others are likely to follow.
  private func gather() {
    let quiet = Self.monotonic &- max(0, lastCommit.load(ordering: .relaxed))
    guard quiet < 5_000_000, state.withLock({ $0.messages }) < limits.batch else { return }
    usleep(UInt32(clamping: limits.gathering.nanoseconds / 1000))
  }

  private func take() -> [Job] {
    state.withLock { state in
      var (jobs, messages) = ([Job](), 0)
      while messages < limits.batch, let job = state.jobs.popFirst() {
        jobs.append(job)
        if case .append(let list, let size, _) = job.work {
          messages += list.count
          state.messages -= list.count
          state.bytes -= size
        }
      }
      if jobs.isEmpty { state.isDraining = false }
      return jobs
    }
  }

  private func write(_ jobs: [Job]) {
    var answers: Answers = [:]
    do throws(StorageError) {
      try disk.withLock { disk throws(StorageError) in
        do throws(StorageError) {
          try disk.begin()
          answers = try perform(jobs, on: disk)
          try disk.commit()
        } catch {
          disk.rollBack()
          throw error
        }
      }
      if isFailing.exchange(false, ordering: .relaxed) { log(.info, "storage", "the message store works again") }
    } catch {
      if !isFailing.exchange(true, ordering: .relaxed) { log(.error, "storage", "\(error)") }
      answers = refuse(jobs, error)
    }
    for (loop, calls) in answers.values { loop.post { context in for call in calls { call(context) } } }
  }

  /// One job's misuse is its own; a failure of the disk is everybody's.
  private func perform(_ jobs: [Job], on disk: MessageLog) throws(StorageError) -> Answers {
    var answers: Answers = [:]
    var touched: Set<String> = []
    let now = wallTime()
    for job in jobs {
      switch job.work {
      case .open(let name, let retention, let then):
        let history = try disk.open(name, retention, epoch: Self.makeEpoch, now: now)
        answers.add(job.loop) { then($0, .success(history)) }
      case .append(let messages, _, let then):
        do throws(StorageError) {
          try disk.append(messages)
          for message in messages { touched.insert(message.channel) }
          answers.add(job.loop) { then($0, .success(())) }
        } catch {
          guard case .misuse = error else { throw error }
          answers.add(job.loop) { then($0, .failure(error)) }
        }
      case .sweep:
        if try disk.sweep(now: now) { _ = submit(Job(loop: job.loop, work: .sweep), messages: 0, bytes: 0) }
      }
    }
    try disk.trim(touched, now: now)
    return answers
  }

  private func refuse(_ jobs: [Job], _ error: StorageError) -> Answers {
    var answers: Answers = [:]
    for job in jobs {
      switch job.work {
      case .open(_, _, let then): answers.add(job.loop) { then($0, .failure(error)) }
      case .append(_, _, let then): answers.add(job.loop) { then($0, .failure(error)) }
      case .sweep: break
      }
    }
    return answers
  }

  private static func makeEpoch() -> String {
    Base64.encode((0..<9).map { _ in UInt8.random(in: 0...255) }, .url)
  }

  private static var monotonic: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  package static var realTime: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}

extension Dictionary where Key == ObjectIdentifier, Value == (loop: EventLoop, calls: [@Sendable (LoopContext) -> Void]) {
  fileprivate mutating func add(_ loop: EventLoop, _ call: @escaping @Sendable (LoopContext) -> Void) {
    self[ObjectIdentifier(loop), default: (loop, [])].calls.append(call)
  }
}
