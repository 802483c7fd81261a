internal import MartletIO
internal import MartletPrimitives

/// The two connections that a ConnectionBind has joined (RFC 6062 §5.4): what comes from one goes to the other, and neither is read
/// faster than the other is written.
internal final class TURNPipe: TCPConnectionHandler {
  private let peer: TCPConnection
  private weak var stream: TURNStream?
  private let id: UInt32
  private let worker: Int
  private unowned let listener: TURNListener
  private var upstream = TURNPace()
  private var downstream = TURNPace()

  /// - Parameter worker: which has the allocation and is told of the end.
  internal init(_ handover: TCPHandover, _ id: UInt32, worker: Int, of stream: TURNStream, in listener: TURNListener) {
    peer = TCPConnection(handover, in: listener.context)
    (self.id, self.worker, self.stream, self.listener) = (id, worker, stream, listener)
    peer.handler = self
  }

  internal func close() { peer.closeAfterFlush() }

  // MARK: From the client

  internal func send(_ bytes: RawSpan) {
    guard let stream else { return }
    listener.pipeBytesSent += bytes.byteCount
    if !peer.write(Slice(copying: bytes)) { stream.connection.pauseReading() }
    rest(stream.connection, upstream.take(bytes.byteCount, rate: listener.bandwidth, now: listener.context.now)) { [weak self] in
      self.map { $0.peer.bufferedBytes < TCPConnection.highWater } ?? false
    }
  }

  internal func connectionIsWritable(_ connection: TCPConnection) { stream?.connection.resumeReading() }

  // MARK: From the peer

  internal func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    guard let stream else { return connection.close() }
    listener.pipeBytesReceived += bytes.byteCount
    if !stream.append(bytes) { connection.pauseReading() }
    rest(connection, downstream.take(bytes.byteCount, rate: listener.bandwidth, now: listener.context.now)) { [weak self] in
      self?.stream?.takesMore ?? false
    }
  }

  internal func streamTakesMore() { peer.resumeReading() }

  internal func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {
    stream?.connection.closeAfterFlush()
    listener.pipeDidEnd(id, worker: worker)
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

/// How fast one direction may be read: what has come counts as busy time, of which a second may lie ahead.
internal struct TURNPace {
  private static let burst = TimeSpan.seconds(1)
  private var busyUntil = Instant.zero

  /// - Parameter rate: bytes a second; 0 is no limit.
  /// - Returns: how long to rest.
  internal mutating func take(_ count: Int, rate: Int, now: Instant) -> TimeSpan? {
    guard rate > 0 else { return nil }
    busyUntil = max(busyUntil, now) + TimeSpan(nanoseconds: Int64(count) * 1_000_000_000 / Int64(rate))
    let ahead = busyUntil - now - Self.burst
    return ahead > .zero ? ahead : nil
  }
}
