internal import Glibc
internal import MartletPrimitives
internal import Synchronization

/// A few named threads for work that may block: disk, codecs. Jobs begin in the order of submission; with one thread they
/// also end in it. The queue is bounded, and a full one says so instead of waiting.
package final class ThreadPool: @unchecked Sendable {
  private struct State {
    var jobs = Deque<@Sendable () -> Void>()
    var isClosed = false
  }

  private let state = Mutex(State())
  private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
  private let threads = Mutex<[WorkerThread]>([])
  private let threadCount: Int
  private let name: String
  /// Jobs that wait at most.
  package let limit: Int

  /// The threads start with the first job.
  /// - Parameter name: for debuggers; at most 15 bytes count.
  package init(name: String, threads: Int = 1, limit: Int = 1024) {
    self.name = name
    self.limit = limit
    threadCount = max(1, threads)
    sem_init(semaphore, 0, 0)
  }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  /// - Returns: false when the queue is full or the pool closed; the job will not run.
  /// - Parameter beyondLimit: for jobs that end something and must not be lost; their number is bounded by what they end.
  package func submit(beyondLimit: Bool = false, _ job: @escaping @Sendable () -> Void) -> Bool {
    let accepted = state.withLock { state in
      guard !state.isClosed, beyondLimit || state.jobs.count < limit else { return false }
      state.jobs.append(job)
      return true
    }
    guard accepted else { return false }
    startThreads()
    sem_post(semaphore)
    return true
  }

  /// Runs what is queued and ends the threads.
  package func close() {
    state.withLock { $0.isClosed = true }
    let threads = threads.withLock { exchange(&$0, with: []) }
    for _ in threads { sem_post(semaphore) }
    for thread in threads { thread.join() }
  }

  private func startThreads() {
    threads.withLock { threads in
      guard threads.isEmpty else { return }
      for _ in 0..<threadCount { threads.append(WorkerThread(name: name) { [self] in run() }) }
    }
  }

  private func run() {
    while true {
      while sem_wait(semaphore) != 0 {}
      let (job, isClosed) = state.withLock { ($0.jobs.popFirst(), $0.isClosed) }
      if let job { job() } else if isClosed { return }
    }
  }
}
