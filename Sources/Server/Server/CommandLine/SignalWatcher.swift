internal import Glibc
internal import MartletIO

/// Signals as ordinary calls: blocked in every thread, taken by `sigwait` on one that does nothing else. So nothing ever runs
/// inside a signal handler.
package final class SignalWatcher: Sendable {
  package enum Signal: Sendable { case stop, reload }

  /// Blocks the signals in the calling thread and those it will start; call before any other thread exists.
  package static func block() {
    var set = signals
    pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  /// Calls `body` for each signal, on a thread of its own. The second request to stop ends the process at once.
  package static func start(_ body: @escaping @Sendable (Signal) -> Void) -> SignalWatcher {
    SignalWatcher(
      thread: WorkerThread(name: "martlet-signal") {
        var set = signals
        var stops = 0
        while true {
          var number: Int32 = 0
          guard sigwait(&set, &number) == 0 else { continue }
          if number == SIGHUP {
            body(.reload)
            continue
          }
          stops += 1
          if stops > 1 { _exit(128 + number) }
          body(.stop)
        }
      })
  }

  private let thread: WorkerThread
  private init(thread: WorkerThread) { self.thread = thread }

  private static var signals: sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&set, number) }
    return set
  }
}
