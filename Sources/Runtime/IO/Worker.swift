internal import CShims
internal import Glibc
package import MartletPrimitives

/// One loop and its thread: how everything outside the loop, asynchronous code included, reaches what lives there.
package struct Worker: Sendable {
  package let loop: EventLoop
  private let thread: WorkerThread

  /// Starts the thread; `setUp` builds the worker's hubs and listeners on it.
  package init(_ loop: EventLoop, log: Log, setUp: @escaping @Sendable (LoopContext) -> Void) {
    self.loop = loop
    thread = WorkerThread(name: "martlet-\(loop.index)") { loop.run(log: log, setUp: setUp) }
  }

  /// Runs `body` with the loop's state, on the loop.
  package func run<R: Sendable>(_ body: @escaping @Sendable (LoopContext) -> R) async -> R {
    await withCheckedContinuation { continuation in
      loop.post { context in continuation.resume(returning: body(context)) }
    }
  }

  /// Waits for the thread's end, after `LoopContext.stop`.
  package func join() { thread.join() }
}

/// A named operating-system thread that can be joined.
package final class WorkerThread: Sendable {
  private let thread: pthread_t

  package init(name: String, _ body: @escaping @Sendable () -> Void) {
    final class Start {
      let name: String
      let body: @Sendable () -> Void
      init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
      }
    }
    var thread = pthread_t()
    let start = Unmanaged.passRetained(Start(name: name, body: body)).toOpaque()
    let result = pthread_create(
      &thread, nil,
      { raw in
        guard let raw else { return nil }
        let start = Unmanaged<Start>.fromOpaque(raw).takeRetainedValue()
        martlet_name_thread(start.name)
        start.body()
        return nil
      }, start)
    precondition(result == 0, "the system starts a thread for each worker")
    self.thread = thread
  }

  /// Waits for the thread's end.
  package func join() { pthread_join(thread, nil) }
}
