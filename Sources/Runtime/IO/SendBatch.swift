internal import CShims
internal import Glibc

/// The flushes of one turn in as few system calls as possible. Where io_uring is not allowed there is no batch, and each
/// connection writes for itself.
internal final class SendBatch {
  /// Fewer writes than this are not worth the ring.
  internal static let worthwhile = 8

  private let batch: OpaquePointer
  private var pending: [(connection: TCPConnection, ready: Int, tail: Int)] = []
  /// Those that write for themselves, when nothing is pending: a write may end in a call that changes what was gathered.
  private var alone: [TCPConnection] = []

  internal init?() {
    guard let batch = martlet_batch_create() else { return nil }
    self.batch = batch
    pending.reserveCapacity(Int(MARTLET_BATCH_CAPACITY))
  }

  deinit { martlet_batch_destroy(batch) }

  /// Flushes all `connections`; those that cannot be batched write for themselves.
  /// - Returns: false when the ring failed and must not be used again.
  internal func flush(_ connections: [TCPConnection]) -> Bool {
    var works = true
    for connection in connections {
      if pending.count == Int(MARTLET_BATCH_CAPACITY) { works = submit() && works }
      guard works, let tail = connection.gatherForBatch() else {
        alone.append(connection)
        continue
      }
      let vector = connection.context.vector
      guard vector.count > 0 else { continue }
      if martlet_batch_add(batch, connection.batchDescriptor, vector.parts, Int32(vector.count)) >= 0 {
        pending.append((connection, vector.byteCount, tail))
      } else {
        alone.append(connection)
      }
    }
    works = submit() && works
    for connection in alone { connection.flushAtEndOfTurn() }
    alone.removeAll(keepingCapacity: true)
    return works
  }

  private func submit() -> Bool {
    guard !pending.isEmpty else { return true }
    let results = martlet_batch_submit(batch)
    for index in pending.indices {
      let entry = pending[index]
      // After a failure of the ring nobody knows what left: the stream cannot go on.
      entry.connection.didSendInBatch(results.map { $0[index] } ?? -Int(ECONNABORTED), of: entry.ready, tailOfMessage: entry.tail)
    }
    pending.removeAll(keepingCapacity: true)
    return results != nil
  }
}
