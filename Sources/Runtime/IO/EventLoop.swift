internal import CUV
package import MartletPrimitives
internal import Synchronization

/// The Sendable handle of one worker's loop: a mailbox and a Swift executor, nothing else.
///
/// Everything a loop owns (sockets, timers, hubs) lives in its `LoopContext`, which never leaves the loop's thread. Other
/// threads reach it through `post`, and Swift actors and tasks through the executor conformances. The mailbox is for control
/// messages: it cannot be bounded, so data crosses workers through `WorkerRing`.
package final class EventLoop: SerialExecutor, TaskExecutor, @unchecked Sendable {
  private enum Item {
    case job(UnownedJob)
    case post(@Sendable (LoopContext) -> Void)
  }
  private struct Mailbox {
    var items: [Item] = []
    var isClosed = false
  }

  private let mailbox = Mutex(Mailbox())
  private let wake: UnsafeMutablePointer<uv_async_t>
  private let uv: UnsafeMutablePointer<uv_loop_t>
  private let thread = Atomic<UInt>(0)
  /// Which worker this is, from 0.
  package let index: Int
  private let batchesWrites: Bool

  /// - Parameter batchesWrites: sends to many sockets in one system call where the kernel allows it.
  package init(index: Int, batchesWrites: Bool = true) {
    self.index = index
    self.batchesWrites = batchesWrites
    uv = .allocate(capacity: 1)
    wake = .allocate(capacity: 1)
    precondition(uv_loop_init(uv) == 0, "the kernel gives every worker an epoll descriptor")
    uv_async_init(uv, wake) { handle in
      guard let handle, let data = handle.pointee.data else { return }
      Unmanaged<LoopContext>.fromOpaque(data).takeUnretainedValue().drainMailbox()
    }
  }

  /// Runs `body` on the loop, in the order posted. Dropped when the loop has stopped.
  package func post(_ body: @escaping @Sendable (LoopContext) -> Void) { put(.post(body)) }

  package func enqueue(_ job: consuming ExecutorJob) { put(.job(UnownedJob(job))) }

  private func put(_ item: Item) {
    let mustWake = mailbox.withLock { box in
      guard !box.isClosed else { return false }
      box.items.append(item)
      return box.items.count == 1
    }
    if mustWake { uv_async_send(wake) }
  }

  package var isCurrent: Bool { thread.load(ordering: .relaxed) == UInt(bitPattern: pthread_self_token()) }
  package func checkIsolated() { precondition(isCurrent, "worker \(index)'s state is touched only on its own thread") }
  package func isIsolatingCurrentContext() -> Bool? { isCurrent }

  /// Takes over the calling thread until `LoopContext.stop`.
  package func run(log: Log, setUp: (LoopContext) -> Void) {
    thread.store(UInt(bitPattern: pthread_self_token()), ordering: .relaxed)
    let context = LoopContext(loop: self, uv: uv, batchesWrites: batchesWrites, log: log)
    wake.pointee.data = Unmanaged.passUnretained(context).toOpaque()
    setUp(context)
    // What was posted before the thread started.
    uv_async_send(wake)
    uv_run(uv, UV_RUN_DEFAULT)
    mailbox.withLock { $0.isClosed = true }
    context.tearDown(closing: wake)
    uv_loop_close(uv)
  }

  internal func drain(into context: LoopContext) {
    let items = mailbox.withLock { box in exchange(&box.items, with: []) }
    for item in items {
      switch item {
      case .job(let job): job.runSynchronously(isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
      case .post(let body): body(context)
      }
    }
  }
}

/// What names the calling thread; only ever compared.
private func pthread_self_token() -> Int { Int(bitPattern: UInt(uv_thread_self())) }
