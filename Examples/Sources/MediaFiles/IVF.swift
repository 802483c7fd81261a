import Foundation

/// IVF, the plainest container of pictures: what `ffmpeg -c:v libvpx out.ivf` writes. 32 bytes of header, then each picture behind its
/// size (4 bytes) and its time (8 bytes), all little-endian.
public struct IVFFile: Sendable {
  public struct Picture: Sendable {
    /// Since the first, in seconds.
    public let time: Double
    public let data: [UInt8]
    public let isKeyFrame: Bool
  }

  /// `VP80`, `VP90`, `AV01`.
  public let codec: String
  public let pictures: [Picture]

  public init(path: String) throws {
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    guard bytes.count >= 32, bytes.starts(with: Array("DKIF".utf8)) else { throw MediaFileError("\(path) is no IVF file") }
    let codec = String(decoding: bytes[8..<12], as: UTF8.self)
    // Ticks a second, as a fraction.
    let (rate, scale) = (bytes.littleEndian(at: 16, 4), bytes.littleEndian(at: 20, 4))
    var pictures: [Picture] = []
    var offset = 32
    while offset + 12 <= bytes.count {
      let size = bytes.littleEndian(at: offset, 4)
      let time = bytes.littleEndian(at: offset + 4, 8)
      guard offset + 12 + size <= bytes.count else { break }
      let data = Array(bytes[offset + 12..<offset + 12 + size])
      let seconds = Double(time) * Double(scale) / Double(max(1, rate))
      pictures.append(Picture(time: seconds, data: data, isKeyFrame: Self.isKeyFrame(data, codec)))
      offset += 12 + size
    }
    self.codec = codec
    self.pictures = pictures
  }

  /// RFC 7741 §4.3 for VP8, whose first bit says it; of other codecs only the first picture is known to be one.
  private static func isKeyFrame(_ data: [UInt8], _ codec: String) -> Bool { codec == "VP80" && data.first.map { $0 & 1 == 0 } == true }
}

/// Writes VP8 pictures as IVF; begins with the first key frame, which knows the size.
public final class IVFWriter {
  private let file: FileHandle
  private var count: UInt32 = 0
  private var start: UInt32?

  public init(path: String) throws {
    guard FileManager.default.createFile(atPath: path, contents: nil), let file = FileHandle(forWritingAtPath: path) else {
      throw MediaFileError("\(path) cannot be written")
    }
    self.file = file
  }

  /// - Parameter timestamp: in ticks of 90 kHz.
  /// - Returns: whether it was written.
  @discardableResult public func write(_ data: [UInt8], timestamp: UInt32, isKeyFrame: Bool) throws -> Bool {
    guard start != nil || isKeyFrame else { return false }
    let start = self.start ?? timestamp
    if self.start == nil { try file.write(contentsOf: Self.header(of: data)) }
    self.start = start
    var head: [UInt8] = []
    head.append(littleEndian: UInt64(data.count), 4)
    head.append(littleEndian: UInt64(timestamp &- start), 8)
    try file.write(contentsOf: head + data)
    count += 1
    return true
  }

  /// The size stands behind the start code of a key frame (RFC 6386 §9.1).
  private static func header(of picture: [UInt8]) -> [UInt8] {
    var head = Array("DKIF".utf8)
    head.append(littleEndian: 0, 2)
    head.append(littleEndian: 32, 2)
    head += Array("VP80".utf8)
    let size = picture.count >= 10 ? picture[6..<10] : [0, 0, 0, 0]
    let bytes = Array(size)
    head += [bytes[0], bytes[1] & 0x3F, bytes[2], bytes[3] & 0x3F]
    head.append(littleEndian: 90_000, 4)
    head.append(littleEndian: 1, 4)
    head.append(littleEndian: 0, 8)
    return head
  }

  public func close() throws { try file.close() }
}

public struct MediaFileError: Error, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}

extension Array where Element == UInt8 {
  func littleEndian(at offset: Int, _ count: Int) -> Int {
    self[offset..<offset + count].reversed().reduce(0) { ($0 & (Int.max >> 8)) << 8 | Int($1) }
  }

  mutating func append(littleEndian value: UInt64, _ count: Int) {
    for place in 0..<count { append(UInt8(truncatingIfNeeded: value >> UInt64(8 * place))) }
  }
}
