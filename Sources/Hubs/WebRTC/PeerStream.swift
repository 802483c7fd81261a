internal import MartletICE
internal import MartletIO
internal import MartletPrimitives

/// One TCP connection of a peer: datagrams behind their lengths in both directions (RFC 4571).
final class PeerStream: TCPConnectionHandler {
  let connection: TCPConnection
  /// Whom the first frame named; the connection is theirs for life.
  weak var session: PeerSession?
  /// The session for which the peer has passed a check on it.
  var admission: ObjectIdentifier?
  /// Gone when the server stops while this still has something to send.
  private weak var streams: PeerStreams?
  private var reader = ICEStreamReader()
  private let output: FramedOutput

  init(_ connection: TCPConnection, of streams: PeerStreams, outputLimit: Int) {
    self.connection = connection
    output = FramedOutput(limit: outputLimit)
    self.streams = streams
    connection.handler = self
    connection.source = output
    connection.boundKernelOutput()
  }

  // MARK: In

  func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) { receive(bytes) }

  func receive(_ bytes: RawSpan) {
    guard let streams else { return }
    var offset = 0
    do throws(ICEError) {
      while connection.isOpen, let count = try reader.next(in: bytes, at: &offset, into: streams.inbox) {
        let datagram = UnsafeMutableRawBufferPointer(rebasing: streams.inbox[..<count])
        guard streams.receive(datagram, on: self, rest: bytes.extracting(offset..<bytes.byteCount)) else { break }
      }
    } catch { connection.close() }
    streams.settle()
  }

  func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) { streams?.remove(self) }

  // MARK: Out

  /// - Returns: false when it was dropped.
  func append(_ datagram: UnsafeRawBufferPointer) -> Bool { output.append(datagram, to: connection) }
}
