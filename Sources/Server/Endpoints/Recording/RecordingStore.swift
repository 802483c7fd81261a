internal import Glibc
internal import MartletIO
package import MartletPrimitives
internal import Synchronization

/// The recordings' folder, shared by all workers: one thread that writes, and which files are being written.
package final class RecordingStore: Sendable {
  internal let root: String
  internal let log: Log
  private let writer = ThreadPool(name: "martlet-record", limit: 0)
  private let active = Mutex<Set<String>>([])

  package init(_ root: String, log: Log) {
    var root = root
    while root.utf8.count > 1, root.hasSuffix("/") { root.removeLast() }
    self.root = root
    self.log = log
  }

  /// Writes what waits and ends the thread.
  package func close() { writer.close() }

  /// What waits is bounded by whoever hands it over, in bytes.
  internal func write(_ job: @escaping @Sendable () -> Void) { _ = writer.submit(beyondLimit: true, job) }

  internal func begin(_ path: String) { active.withLock { _ = $0.insert(path) } }
  internal func end(_ path: String) { active.withLock { _ = $0.remove(path) } }
  internal func isActive(_ path: String) -> Bool { active.withLock { $0.contains(path) } }
}
