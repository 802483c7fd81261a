package import MartletIO
package import MartletPrimitives

/// What carries a WebSocket's bytes: a TCP connection, or one stream of an HTTP/2 connection (RFC 8441). Who reads from it is
/// told by the pipe's own kind of handler.
package protocol BytePipe: OutputSink {
  var context: LoopContext { get }
  var remote: SocketAddress { get }
  var isOpen: Bool { get }
  /// When bytes last came.
  var lastRead: Instant { get }
  /// Bytes that wait to be sent, not counting what the source holds.
  var bufferedBytes: Int { get }
  /// Queues bytes; they go out behind what was queued before, and not inside a message of the source.
  /// - Returns: false when the peer does not keep up.
  @discardableResult func write(_ bytes: Slice) -> Bool
  /// Tells the handler when less is buffered, as after a `write` that answered false.
  func notifyWhenWritable()
  func pauseReading()
  func resumeReading()
  /// Takes nothing more from the source than the rest of a message of which a part has left, and lets it go.
  func finishSource()
  /// Sends what is queued, and ends.
  func closeAfterFlush()
  /// Ends at once; what is queued is lost.
  func close()
}

extension TCPConnection: BytePipe {
  package func close() { close(.local) }
}
