package import MartletCrypto
package import MartletIO
internal import MartletMedia
package import MartletPrimitives
package import MartletRTMP

/// RTMP on one worker: accepts connections and gives each what it needs.
package final class RTMPListener {
  package struct Configuration: Sendable {
    package var session = ServerSessionConfiguration()
    /// A publisher that sends nothing for this long is closed.
    package var publisherTimeout = TimeSpan.seconds(30)

    package init() { session.outgoingChunkSize = RTMPFormat.chunkSize }
  }

  internal let configuration: Configuration
  internal let admission: Admission
  private var listeners: [TCPListener] = []

  package init(_ configuration: Configuration, _ admission: Admission) {
    self.configuration = configuration
    self.admission = admission
  }

  /// - Parameter tls: makes it an RTMPS listener; asked for each connection.
  /// - Returns: the address with the port that the kernel chose, if 0 was asked for.
  @discardableResult package func listen(
    on address: SocketAddress, tls: (() -> TLSContext)? = nil, census: ConnectionCensus, in context: LoopContext
  ) throws(SystemError) -> SocketAddress {
    let listener = try TCPListener(address, tls: tls, in: context, census: census, refusal: Slice()) { [unowned self] connection in
      connection.handler = RTMPConnection(connection, self)
    }
    listeners.append(listener)
    return listener.address
  }

  package func stopListening() {
    for listener in listeners { listener.close() }
    listeners.removeAll()
  }
}
