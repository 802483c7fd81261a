import Foundation

/// Opus in Ogg (RFC 7845): what `ffmpeg -c:a libopus out.ogg` writes.
public struct OggOpusFile: Sendable {
  public struct Packet: Sendable {
    public let data: [UInt8]
    /// In ticks of 48 kHz.
    public let duration: Int
  }

  public let packets: [Packet]

  public init(path: String) throws {
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    var packets: [[UInt8]] = []
    var open: [UInt8] = []
    var offset = 0
    while offset + 27 <= bytes.count, bytes[offset..<offset + 4].elementsEqual("OggS".utf8) {
      let segments = Int(bytes[offset + 26])
      var data = offset + 27 + segments
      guard data <= bytes.count else { break }
      for size in bytes[offset + 27..<data] {
        guard data + Int(size) <= bytes.count else { break }
        open += bytes[data..<data + Int(size)]
        data += Int(size)
        // A packet ends with a segment that is not full (RFC 3533 §5).
        if size < 255 {
          packets.append(open)
          open = []
        }
      }
      offset = data
    }
    guard packets.first?.starts(with: Array("OpusHead".utf8)) == true else { throw MediaFileError("\(path) is no Ogg file of Opus") }
    // The second is the title and the like.
    self.packets = packets.dropFirst(2).map { Packet(data: $0, duration: Self.duration(of: $0)) }
  }

  /// RFC 6716 §3.1, in ticks of 48 kHz.
  public static func duration(of packet: [UInt8]) -> Int {
    guard let head = packet.first else { return 0 }
    let configuration = Int(head >> 3)
    let frame: Int =
      switch configuration {
      case 0..<12: [480, 960, 1920, 2880][configuration % 4]
      case 12..<16: [480, 960][configuration % 2]
      default: [120, 240, 480, 960][configuration % 4]
      }
    let frames: Int =
      switch head & 3 {
      case 0: 1
      case 1, 2: 2
      default: packet.count > 1 ? Int(packet[1] & 0x3F) : 0
      }
    return frame * frames
  }
}

/// Writes Opus packets as Ogg, one a page.
public final class OggOpusWriter {
  private let file: FileHandle
  private var page: UInt32 = 0
  private var position: UInt64 = 0

  public init(path: String) throws {
    guard FileManager.default.createFile(atPath: path, contents: nil), let file = FileHandle(forWritingAtPath: path) else {
      throw MediaFileError("\(path) cannot be written")
    }
    self.file = file
    // Version 1, two channels, nothing to skip, 48 kHz, no gain, mapping 0 (RFC 7845 §5.1).
    try write(page: Array("OpusHead".utf8) + [1, 2, 0, 0, 0x80, 0xBB, 0, 0, 0, 0, 0], isFirst: true)
    try write(page: Array("OpusTags".utf8) + [7, 0, 0, 0] + Array("Martlet".utf8) + [0, 0, 0, 0])
  }

  public func write(_ packet: [UInt8]) throws {
    position += UInt64(OggOpusFile.duration(of: packet))
    try write(page: packet)
  }

  public func close() throws { try file.close() }

  private func write(page data: [UInt8], isFirst: Bool = false) throws {
    var bytes = Array("OggS".utf8) + [0, isFirst ? 2 : 0]
    bytes.append(littleEndian: position, 8)
    bytes.append(littleEndian: 1, 4)
    bytes.append(littleEndian: UInt64(page), 4)
    bytes.append(littleEndian: 0, 4)
    let full = data.count / 255
    bytes += [UInt8(full + 1)] + [UInt8](repeating: 255, count: full) + [UInt8(data.count % 255)]
    bytes += data
    let sum = Self.checksum(bytes)
    for place in 0..<4 { bytes[22 + place] = UInt8(truncatingIfNeeded: sum >> UInt32(8 * place)) }
    try file.write(contentsOf: bytes)
    page += 1
  }

  /// CRC-32 without reflection (RFC 3533 §6).
  private static func checksum(_ bytes: [UInt8]) -> UInt32 {
    bytes.reduce(0) { sum, byte in
      (0..<8).reduce(sum ^ UInt32(byte) << 24) { sum, _ in sum & 0x8000_0000 == 0 ? sum << 1 : sum << 1 ^ 0x04C1_1DB7 }
    }
  }
}
