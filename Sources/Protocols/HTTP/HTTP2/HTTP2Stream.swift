internal import CNGHTTP2
internal import MartletPrimitives

/// One request and its response, while either is under way.
internal final class HTTP2Stream {
  var incoming = HeaderList()
  /// Received and not yet consumed.
  var unconsumed = 0
  var sawHead = false
  var sawEnd = false
  /// Answered here; the application never hears of it.
  var isRefused = false
  /// We reset it, so its end says nothing about the peer.
  var resetByUs = false
  var outbox = Outbox()

  /// A header list as it comes, pseudo fields apart.
  struct HeaderList {
    var pseudo: [String: String] = [:]
    var fields = HTTPFields()
    private(set) var size = 0
    private(set) var overflowed = false

    mutating func add(_ name: String, _ value: String, _ limits: HTTP2Limits) {
      size += name.utf8.count + value.utf8.count + 32
      overflowed = overflowed || size > limits.headerListBytes || fields.count >= limits.fields
      guard !overflowed else { return }
      if name.hasPrefix(":") { pseudo[name] = value } else { fields.append(name, value) }
    }
  }

  /// Content that waits for the peer's window.
  struct Outbox {
    private var slices = Deque<Slice>()
    private(set) var count = 0
    /// nghttp2 asked for data when there was none.
    var isDeferred = false
    /// A write was refused: the writer waits for `.writable`.
    var isAwaited = false
    var isEnded = false
    var trailers = HTTPFields()

    mutating func append(_ slice: Slice) {
      guard !slice.isEmpty else { return }
      slices.append(slice)
      count += slice.count
    }

    /// Moves at most `room` bytes into `buffer`.
    mutating func read(into buffer: UnsafeMutableRawPointer, room: Int) -> Int {
      var filled = 0
      while filled < room, let slice = slices.popFirst() {
        let part = slice.sub(0..<min(slice.count, room - filled))
        part.withUnsafeBytes { bytes in
          if let source = bytes.baseAddress { (buffer + filled).copyMemory(from: source, byteCount: bytes.count) }
        }
        filled += part.count
        if part.count < slice.count { slices.prepend(slice.dropFirst(part.count)) }
      }
      count -= filled
      return filled
    }
  }
}

extension HTTPFields {
  /// Calls `body` with the list as nghttp2 wants it: names in lower case, pseudo fields first, and without the fields
  /// that belong to a connection (RFC 9113 §8.2.2). Values cannot break out: what is no field content becomes a space.
  internal func withHeaderList<R>(_ pseudo: [(String, String)], _ body: (UnsafePointer<nghttp2_nv>?, Int) -> R) -> R {
    var bytes: [UInt8] = []
    var ranges: [(name: Range<Int>, value: Range<Int>)] = []
    func add(_ name: String, _ value: String) {
      let start = bytes.count
      for byte in name.utf8 { bytes.append(byte.lowercasedASCII) }
      let middle = bytes.count
      for byte in value.trimmed.utf8 { bytes.append(byte.isFieldContent ? byte : .space) }
      ranges.append((start..<middle, middle..<bytes.count))
    }
    for (name, value) in pseudo { add(name, value) }
    for field in self where field.name.isToken && !Self.connectionFields.contains(where: field.name.equalsIgnoringCase) {
      add(field.name, field.value)
    }
    bytes.append(0)
    return bytes.withUnsafeMutableBufferPointer { buffer -> R in
      guard let base = buffer.baseAddress else { return body(nil, 0) }
      let list = ranges.map {
        nghttp2_nv(
          name: base + $0.name.lowerBound, value: base + $0.value.lowerBound, namelen: $0.name.count, valuelen: $0.value.count, flags: 0)
      }
      return list.withUnsafeBufferPointer { body($0.baseAddress, $0.count) }
    }
  }

  private static let connectionFields = ["Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "Host"]
}

extension HTTPRequest {
  /// - Throws: 400 or 431.
  internal init(_ list: HTTP2Stream.HeaderList) throws(HTTPError) {
    guard !list.overflowed else { throw HTTPError(.headerFieldsTooLarge, "the header fields exceed their limit") }
    guard let method = list.pseudo[":method"] else { throw HTTPError(.badRequest, ":method is missing") }
    let authority = list.pseudo[":authority"] ?? list.fields.first("Host")
    guard let authority, HTTPTarget.isAuthority(authority) else {
      throw HTTPError(.badRequest, "neither :authority nor Host is a host with an optional port")
    }
    let connectProtocol = list.pseudo[":protocol"]
    let isTunnel = method == "CONNECT" && connectProtocol == nil
    let target = try HTTPTarget(
      isTunnel ? authority : list.pseudo[":path"] ?? "",
      method: connectProtocol == nil ? HTTPMethod(method) : .get, authority: authority)
    var fields = list.fields
    // RFC 9113 §8.2.3: a cookie that came in crumbs is one field again.
    let cookies = fields.all("Cookie")
    if cookies.count > 1 { fields.set("Cookie", cookies.joined(separator: "; ")) }
    fields.remove("Host")
    self.init(method: HTTPMethod(method), target: target, version: .http2, fields: fields)
    self.connectProtocol = connectProtocol
  }
}
