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

  package func listen(on address: SocketAddress, census: ConnectionCensus, in context: LoopContext) throws(SystemError) {
    listeners.append(
      try TCPListener(address, in: context, census: census, refusal: Slice()) { [unowned self] connection in
        connection.handler = RTMPConnection(connection, self)
      })
  }

  package func stopListening() {
    for listener in listeners { listener.close() }
    listeners.removeAll()
  }
}
