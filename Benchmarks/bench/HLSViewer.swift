internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives

/// One HLS player: fetches the media playlist once a second and every segment that is new in it, over one connection.
internal final class HLSViewer: TCPConnectionHandler {
  private let host: String
  private let playlist: String
  private let tally: Tally
  private let context: LoopContext
  private var parser = ResponseParser()
  private var scanner: StampScanner
  private var text: [UInt8] = []
  private var isPlaylist = true
  private var wanted: [String] = []
  private var seen: Set<String> = []
  private weak var connection: TCPConnection?

  internal init(host: String, playlist: String, number: Int, _ tally: Tally, _ context: LoopContext) {
    self.host = host
    self.playlist = playlist
    self.tally = tally
    self.context = context
    scanner = StampScanner(viewer: number, began: context.now)
  }

  internal func connectionDidOpen(_ connection: TCPConnection) {
    self.connection = connection
    tally.connected += 1
    fetch(playlist)
  }

  internal func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    let now = context.now
    tally.bytes += bytes.byteCount
    if now >= tally.measureFrom { tally.measuredBytes += bytes.byteCount }
    if !isPlaylist { bytes.withUnsafeBytes { scanner.scan($0, now: now, into: tally) } }
    var offset = 0
    while offset < bytes.byteCount {
      guard let taken = try? parser.receive(bytes.extracting(offset..<bytes.byteCount)) else { return connection.close() }
      offset += taken
      while let event = parser.pollEvent() {
        if case .body(let part) = event, isPlaylist { text.append(part.bytes) }
        if case .end = event { finished() }
      }
      if taken == 0 { return }
    }
  }

  internal func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) { tally.closed += 1 }

  private func finished() {
    if isPlaylist { readPlaylist() }
    if wanted.isEmpty {
      context.schedule(after: .seconds(1)) { [weak self] in
        guard let self, self.connection?.isOpen == true else { return }
        self.fetch(self.playlist)
      }
    } else {
      fetch(wanted.removeFirst())
    }
  }

  private func readPlaylist() {
    let names = String(decoding: text, as: UTF8.self).split(separator: "\n").filter { !$0.hasPrefix("#") && !$0.isEmpty }
    let folder = playlist.prefix(through: playlist.lastIndex(of: "/") ?? playlist.startIndex)
    for name in names.suffix(3).map(String.init) where seen.insert(name).inserted {
      wanted.append(name.hasPrefix("/") ? name : folder + name)
    }
  }

  private func fetch(_ path: String) {
    isPlaylist = path == playlist
    text.removeAll(keepingCapacity: true)
    parser.expect(responseTo: .get)
    connection?.write(Array("GET \(path) HTTP/1.1\r\nHost: \(host)\r\n\r\n".utf8))
  }
}
