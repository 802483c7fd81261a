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
  private var upstream = RateMeter()
  private var downstream = RateMeter()

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
    rest(stream.connection, charge(&upstream, bytes.byteCount)) { [weak self] in
      self.map { $0.peer.bufferedBytes < TCPConnection.highWater } ?? false
    }
  }

  internal func connectionIsWritable(_ connection: TCPConnection) { stream?.connection.resumeReading() }

  // MARK: From the peer

  internal func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    guard let stream else { return connection.close() }
    listener.pipeBytesReceived += bytes.byteCount
    if !stream.append(bytes) { connection.pauseReading() }
    rest(connection, charge(&downstream, bytes.byteCount)) { [weak self] in
      self?.stream?.takesMore ?? false
    }
  }

  internal func streamTakesMore() { peer.resumeReading() }

  internal func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {
    stream?.connection.closeAfterFlush()
    listener.pipeDidEnd(id, worker: worker)
  }

  /// How long to read no more, since what has come cannot be refused.
  private func charge(_ meter: inout RateMeter, _ count: Int) -> TimeSpan? {
    listener.bandwidth > 0 ? meter.charge(count, rate: listener.bandwidth, now: listener.context.now) : nil
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
