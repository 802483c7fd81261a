import MartletCrypto
import MartletHLS
import MartletMedia
import MartletPrimitives
import MartletServer

/// JSON, YAML, tokens, playlists, names and addresses.
extension FuzzEntry {
  static let texts = [json, yaml, jwt, playlist, names]

  private static let json = FuzzEntry(
    "json",
    seeds: [#"{"a": [1, -2.5e3, true, null, "x\u00e9\ud83d\ude00\n"], "b": {"c": ""}, "a": 9223372036854775808}"#].map { Array($0.utf8) }
  ) { bytes in
    guard let value = try? JSON(parsing: bytes) else { return }
    let written = value.serialized
    var limits = JSONLimits()
    limits.bytes = 1 << 26
    guard let again = try? JSON(parsing: written, limits: limits) else { preconditionFailure("JSON that cannot be read back") }
    // `1.0` is written `1`: another kind of number, but the same one.
    require(again.serialized == written, "JSON that reads differently")
  }

  private static let yaml = FuzzEntry(
    "yaml", seeds: ["a: 1\nb:\n  - x\n  - {c: 'd', e: [f, \"g\\n\"]}\n# h\ni: |\n  text\n"].map { Array($0.utf8) }
  ) { bytes in
    var limits = YAMLParser.Limits()
    (limits.bytes, limits.depth, limits.nodes) = (4096, 8, 200)
    do throws(YAMLError) {
      if let node = try YAMLParser.parse(bytes, limits: limits) {
        require(depth(node) <= limits.depth, "deeper than the limit")
        _ = node.summary
      }
    } catch { require(!error.reason.isEmpty, "an error without a reason") }
  }

  private static func depth(_ node: YAMLNode) -> Int {
    switch node.content {
    case .scalar: 1
    case .list(let elements): 1 + (elements.map(depth).max() ?? 0)
    case .map(let entries): 1 + (entries.map { depth($0.value) }.max() ?? 0)
    }
  }

  private static let secret = Array("a secret of more than 32 bytes, for tests".utf8)
  private static let now = WallTime(milliseconds: 1_795_000_000_000)

  private static var token: [UInt8] {
    guard let key = try? JWTSigningKey(secret: secret),
      let token = try? JWT.sign(["sub": "ann", "exp": 1_800_000_000, "nbf": 1.5, "publish": ["live/*"]], with: key)
    else { return [] }
    return Array(token.utf8)
  }

  /// The claims are also signed by ourselves, since no fuzzer finds a signature.
  private static let jwt = FuzzEntry("jwt", seeds: [token, Array(#"{"exp": 1e300, "nbf": -5}"#.utf8)]) { bytes in
    guard let key = try? JWTKey(secret: secret), let signing = try? JWTSigningKey(secret: secret) else { return }
    let text = String(decoding: bytes, as: UTF8.self)
    if (try? JWT.verify(text, keys: [key], now: now)) != nil {
      require(text.utf8.count <= JWT.maximumLength, "a token beyond the limit")
    }
    guard let claims = try? JSON(parsing: bytes), claims.objectValue != nil, let token = try? JWT.sign(claims, with: signing),
      token.utf8.count <= JWT.maximumLength, let verified = try? JWT.verify(token, keys: [key], now: now, leeway: .seconds(5))
    else { return }
    _ = verified.expiresAt
    _ = verified.notBefore
    require(verified.json.serialized == claims.serialized, "claims that read differently")
    // RFC 7515 §5.2: a signature that is not the whole one is none.
    require((try? JWT.verify(String(token.dropLast(4)), keys: [key], now: now)) == nil, "a token with a shorter signature")
  }

  private static let playlist = FuzzEntry("playlist", seeds: ["cam/\u{0}https://cdn/\u{0}token=a b\n#".utf8.map { $0 }]) { bytes in
    let texts = bytes.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
    var window = Window(epoch: "e")
    for index in 0..<4 as Range<Int64> {
      window.append(Segment(bytes: [1], duration: .milliseconds(1999), date: WallTime(milliseconds: index * 2000)))
    }
    func text(_ index: Int) -> String { index < texts.count ? texts[index] : "" }
    let media = MediaPlaylist.write(window, .init(prefix: text(0), baseURL: "https://" + text(1), query: text(2)))
    let lines = media.split(separator: "\n", omittingEmptySubsequences: false)
    // A URI line for each segment and no tag that a name or a query brought in.
    require(lines.filter { !$0.hasPrefix("#") && !$0.isEmpty }.count == 4, "a URI that begins a new line or a comment")
    require(lines.filter { $0.hasPrefix("#EXTINF") }.count == 4, "a tag out of a name")
    require(media.utf8.allSatisfy { $0 == 10 || 0x20...0x7e ~= $0 }, "a playlist with characters that no URI has")
    let master = MultivariantPlaylist.write(
      [.init(path: text(0), peakBitRate: 1, averageBitRate: 1, formats: [])], query: text(2))
    require(master.split(separator: "\n", omittingEmptySubsequences: false).count == 5, "a path that begins a new line")
  }

  private static let names = FuzzEntry(
    "names", seeds: ["live/cam", "/a/b/c/", "::ffff:1.2.3.4", "[2001:db8::1]:80", "10.0.0.0/8", "1.2.3.4:5"].map { Array($0.utf8) }
  ) { bytes in
    let text = String(decoding: bytes, as: UTF8.self)
    if let path = try? StreamPath(text) {
      require(path.text.utf8.count <= StreamPath.maximumBytes && path.segments.count >= 2, "a path outside of its limits")
      require(!path.segments.contains { $0 == ".." || $0 == "." || $0.isEmpty }, "a segment that a file system reads otherwise")
      require((try? StreamPath(path.text)) == path, "a path that reads differently")
      _ = path.publishRefusal
    }
    if let address = IPAddress(text) { require(IPAddress(address.description) == address, "an address that reads differently") }
    if let socket = SocketAddress(text) { require(SocketAddress(socket.description) == socket, "a socket address that reads differently") }
    if let range = AddressRange(text) {
      require(range.contains(range.base), "a block without its own base")
      require(AddressRange(range.description) == range, "a block that reads differently")
    }
    if let decoded = Base64.decode(text) { require(Base64.decode(Base64.encode(decoded)) == decoded, "base64 that reads differently") }
    _ = Hex.decode(text)
  }
}
