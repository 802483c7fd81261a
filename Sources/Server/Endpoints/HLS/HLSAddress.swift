internal import MartletMedia
internal import MartletPrimitives

/// What a URL of HLS means.
///
///     /APP/NAME.m3u8           the stream: a multivariant playlist
///     /APP/NAME/index.m3u8     its media playlist
///     /APP/NAME/EPOCH-SEQ.ts   a segment
internal enum HLSAddress: Equatable {
  case multivariant(StreamPath)
  case media(StreamPath)
  case segment(StreamPath, name: String)

  internal static let mediaName = "index.m3u8"

  internal init?(_ path: String) {
    if path.hasSuffix(".ts") {
      guard let (folder, name) = Self.split(path), Self.isSegmentName(name), let stream = try? StreamPath(folder) else { return nil }
      self = .segment(stream, name: name)
    } else if path.hasSuffix(".m3u8") {
      if let (folder, name) = Self.split(path), name == Self.mediaName, let stream = try? StreamPath(folder) {
        self = .media(stream)
      } else {
        guard let stream = try? StreamPath(String(path.dropLast(5))) else { return nil }
        self = .multivariant(stream)
      }
    } else {
      return nil
    }
  }

  internal var stream: StreamPath {
    switch self {
    case .multivariant(let path), .media(let path), .segment(let path, _): path
    }
  }

  private static func split(_ path: String) -> (folder: String, name: String)? {
    guard let slash = path.lastIndex(of: "/") else { return nil }
    return (String(path[..<slash]), String(path[path.index(after: slash)...]))
  }

  /// Hexadecimal digits of an epoch in the segment names: eight of the server's start, eight at random, and a count.
  private static let epochDigits = 17...32

  /// What the names of segments look like, also those of earlier runs: they are gone, and no stream is waited for.
  internal static func isSegmentName(_ name: some StringProtocol) -> Bool {
    guard name.hasSuffix(".ts") else { return false }
    let parts = name.dropLast(3).utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    return parts.count == 2 && epochDigits.contains(parts[0].count) && 1...20 ~= parts[1].count
      && parts[0].allSatisfy { 0x30...0x39 ~= $0 || 0x61...0x66 ~= $0 } && parts[1].allSatisfy { 0x30...0x39 ~= $0 }
  }

  /// - Parameters:
  ///   - start: when the server started.
  ///   - random: distinguishes servers that started in the same second.
  ///   - count: of the windows begun by this server.
  internal static func epoch(start: WallTime, random: UInt32, count: Int) -> String {
    func hex(_ value: UInt64) -> String {
      let digits = String(value & 0xffff_ffff, radix: 16)
      return String(repeating: "0", count: 8 - digits.count) + digits
    }
    return hex(UInt64(bitPattern: start.milliseconds / 1000)) + hex(UInt64(random)) + String(count, radix: 16)
  }
}
