import MartletIO
import MartletPrimitives
import MartletRTMP

/// A server that answers every connect with another address.
final class Redirector: Sendable {
  let port: UInt16
  private let worker: Worker

  /// - Parameter target: `nil` is this server itself.
  init(to target: String?) async throws {
    worker = Worker(EventLoop(index: 0), log: .silent) { _ in }
    port = await worker.run { context in
      var port: UInt16 = 0
      let listener = try? TCPListener(
        SocketAddress(ip: .v4(0x7F00_0001), port: 0), in: context, census: ConnectionCensus(), refusal: Slice()
      ) { connection in
        connection.handler = Session(to: target ?? "rtmp://127.0.0.1:\(connection.local.port)/live")
      }
      if let listener {
        context.register(listener)
        port = listener.address.port
      }
      return port
    }
  }

  func stop() {
    worker.loop.post { $0.stop() }
    worker.join()
  }

  private final class Session: TCPConnectionHandler {
    private let target: String
    private var received = 0
    init(to target: String) { self.target = target }

    /// S0 to S2 as an old server sends them, without digests; the answer follows what must be connect.
    func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
      let before = received
      received += bytes.byteCount
      if before < 1537, received >= 1537 {
        connection.write([3] + [UInt8](repeating: 0, count: 8) + [UInt8](repeating: 7, count: 1528) + [UInt8](repeating: 0, count: 1536))
      }
      guard before <= 3073, received > 3073 else { return }
      let information = AMFValue.object([
        AMFProperty("level", "error"), AMFProperty("code", "NetConnection.Connect.Rejected"),
        AMFProperty("ex", .object([AMFProperty("code", 302), AMFProperty("redirect", .string(target))])),
      ])
      let body = Slice(AMF0.encode(["_error", 1, .null, information]))
      connection.write(
        ChunkWriter.wireImage(type: .command, chunkStreamID: 3, streamID: 0, timestamp: 0, payloadParts: [body], chunkSize: 128))
    }

    func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {}
  }
}
