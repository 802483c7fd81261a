internal import MartletIO
internal import MartletPrimitives
internal import Synchronization

/// The two connections that a ConnectionBind has joined (RFC 6062 §5.4): what comes from one goes to the other, and neither is read
/// faster than the other is written.
internal final class TURNPipe: TCPConnectionHandler {
  private let peer: TCPConnection
  private weak var stream: TURNStream?
  private let id: UInt32
  private let worker: Int
  private unowned let listener: TURNListener
  private let handover: TURNPeerHandover
  private var upstream = RatePolicer()
  private var downstream = RatePolicer()

  /// - Parameter worker: which has the allocation and is told of the end.
  internal init(_ handover: TURNPeerHandover, _ id: UInt32, worker: Int, of stream: TURNStream, in listener: TURNListener) {
    self.handover = handover
    peer = TCPConnection(handover.connection, in: listener.context)
    (self.id, self.worker, self.stream, self.listener) = (id, worker, stream, listener)
    peer.handler = self
  }

  internal func close() { peer.closeAfterFlush() }

  // MARK: From the client

  internal func send(_ bytes: RawSpan) {
    guard let stream else { return }
    handover.carried.add(sent: bytes.byteCount)
    if !peer.write(Slice(copying: bytes)) { stream.connection.pauseReading() }
    rest(stream.connection, charge(&upstream, .up, bytes.byteCount)) { [weak self] in
      self.map { $0.peer.bufferedBytes < TCPConnection.highWater } ?? false
    }
  }

  internal func connectionIsWritable(_ connection: TCPConnection) { stream?.connection.resumeReading() }

  // MARK: From the peer

  internal func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    guard let stream else { return connection.close() }
    handover.carried.add(received: bytes.byteCount)
    if !stream.append(bytes) { connection.pauseReading() }
    rest(connection, charge(&downstream, .down, bytes.byteCount)) { [weak self] in
      self?.stream?.takesMore ?? false
    }
  }

  internal func streamTakesMore() { peer.resumeReading() }

  internal func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {
    stream?.connection.closeAfterFlush()
    listener.pipeDidEnd(id, worker: worker)
  }

  /// How long to read no more, since what has come cannot be refused.
  private func charge(_ meter: inout RatePolicer, _ direction: TURNUserRate.Direction, _ count: Int) -> TimeSpan? {
    let now = listener.context.now
    let own = listener.bandwidth > 0 ? meter.charge(count, rate: listener.bandwidth, now: now) : nil
    let users = handover.rate.charge(count, direction, rate: listener.userBandwidth, now: now)
    return [own, users].compactMap(\.self).max()
  }

  /// Reads on after a while, if the other side still takes more by then.
  private func rest(_ connection: TCPConnection, _ pause: TimeSpan?, unless isFree: @escaping () -> Bool) {
    guard let pause else { return }
    connection.pauseReading()
    listener.context.schedule(after: pause) { [weak connection] in
      if isFree() { connection?.resumeReading() }
    }
  }
}

/// A connection of a peer on its way to the worker of the client's, with what it is counted by there.
internal struct TURNPeerHandover: Sendable {
  internal let connection: TCPHandover
  /// Which it goes to.
  internal let worker: Int
  internal let rate: TURNUserRate
  internal let carried = TURNCarriedBytes()
}

/// What a pipe has carried, counted where it is and read where the allocation is.
internal final class TURNCarriedBytes: Sendable {
  private let sent = Atomic<Int>(0)
  private let received = Atomic<Int>(0)

  internal func add(sent count: Int) { sent.wrappingAdd(count, ordering: .relaxed) }
  internal func add(received count: Int) { received.wrappingAdd(count, ordering: .relaxed) }

  /// Since it was asked last.
  internal func take() -> (sent: Int, received: Int) {
    (sent.exchange(0, ordering: .relaxed), received.exchange(0, ordering: .relaxed))
  }
}
