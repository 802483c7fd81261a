import MartletCrypto
import MartletHTTP
import MartletIO
import MartletPrimitives
import MartletWeb
import Testing

/// Two workers, one of which serves HTTP on loopback ports that the kernel chose.
struct Loopback {
  let server = Worker(EventLoop(index: 0), log: .silent) { $0.register(Kept()) }
  let client = Worker(EventLoop(index: 1), log: .silent) { _ in }
  let certificate: Certificate.Issued

  init() throws {
    certificate = try Certificate.selfSigned(names: ["localhost"], addresses: ["127.0.0.1"], now: WallTime(milliseconds: 1_795_000_000_000))
  }

  static let any = SocketAddress(ip: .v4(0x7F00_0001), port: 0)

  private final class Kept { var servers: [HTTPServer] = [] }

  /// Starts a server and answers its port.
  func serve(
    secure: Bool = false, alpn: [String] = ["h2", "http/1.1"], _ configuration: HTTPServer.Configuration = .init(),
    routes: @escaping @Sendable (Router) -> Void
  ) async throws -> UInt16 {
    let identity = TLSContext.Identity(certificateChainPEM: certificate.certificatePEM, privateKeyPEM: certificate.privateKeyPEM)
    let tls = secure ? try TLSContext.server([identity], alpn: alpn) : nil
    let port = await server.run { context -> UInt16? in
      let router = Router()
      routes(router)
      let http = HTTPServer(configuration, router: router, in: context)
      context.register(http)
      context.service(Kept.self).servers.append(http)
      return try? http.listen(on: Self.any, tls: tls.map { tls in { tls } }, census: ConnectionCensus()).port
    }
    return try #require(port)
  }

  func stop() {
    for worker in [server, client] {
      worker.loop.post { $0.stop() }
      worker.join()
    }
  }
}
