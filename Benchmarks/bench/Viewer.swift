internal import Glibc
internal import MartletIO
internal import MartletPrimitives
internal import MartletRTMP

/// What a viewer says before bytes come.
internal enum ViewerProtocol: String {
  case rtmp
  /// HTTP-FLV and the other endless HTTP formats.
  case http
  /// A playlist and its segments (`HLSViewer`).
  case hls
  /// The floor program, which sends at once.
  case raw
}

/// One viewer: asks, then counts bytes and finds stamps. It parses nothing more, so that thousands fit beside the server.
internal final class Viewer: TCPConnectionHandler {
  private let kind: ViewerProtocol
  private let target: (host: String, app: String, name: String)
  private let tally: Tally
  private var session: ClientSession?
  private var scanner: StampScanner
  private let isProbe: Bool
  private let context: LoopContext

  internal init(
    _ kind: ViewerProtocol, _ target: (host: String, app: String, name: String), number: Int, isProbe: Bool, _ tally: Tally,
    _ context: LoopContext
  ) {
    self.kind = kind
    self.target = target
    self.tally = tally
    self.isProbe = isProbe
    self.context = context
    scanner = StampScanner(viewer: number, began: context.now)
  }

  internal func connectionDidOpen(_ connection: TCPConnection) {
    tally.connected += 1
    switch kind {
    case .raw, .hls: break
    case .http:
      connection.write(Array("GET /\(target.app)/\(target.name) HTTP/1.1\r\nHost: \(target.host)\r\n\r\n".utf8))
    case .rtmp:
      var random = SystemRandomNumberGenerator()
      let configuration = ClientSessionConfiguration(
        app: target.app, tcURL: "rtmp://\(target.host)/\(target.app)", streamName: target.name, purpose: .play(start: -1))
      session = ClientSession(configuration, now: context.now, random: &random)
      flush(connection)
    }
  }

  internal func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    let now = context.now
    if now >= tally.measureFrom { tally.measuredBytes += bytes.byteCount }
    tally.bytes += bytes.byteCount
    bytes.withUnsafeBytes { if isProbe { scanner.scan($0, now: now, into: tally) } }
    guard session != nil else { return }
    guard (try? session?.receive(bytes, now: now)) != nil else { return connection.close() }
    while let event = session?.pollEvent() {
      if case .playing = event {
        // From here on only bytes count.
        flush(connection)
        session = nil
      }
    }
    flush(connection)
  }

  internal func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) { tally.closed += 1 }

  private func flush(_ connection: TCPConnection) {
    guard let output = session?.takeOutput(), !output.isEmpty else { return }
    connection.write(output)
  }
}
