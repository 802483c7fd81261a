import MartletClient
import MartletContainers
import Testing
import TestSupport

enum Vector {
  static var path: String {
    #filePath.split(separator: "/").dropLast(2).reduce("") { $0 + "/" + $1 } + "/ContainersTests/Vectors/h264-aac-bframes.flv"
  }

  static func packets() async throws -> [MediaPacket] {
    var packets: [MediaPacket] = []
    for try await packet in FLVFileReader(path: path) { packets.append(packet) }
    return packets
  }
}

/// Bytes in pieces of one size.
struct Pieces: AsyncSequence, Sendable {
  typealias Element = [UInt8]
  let bytes: [UInt8]
  let size: Int

  struct AsyncIterator: AsyncIteratorProtocol {
    var rest: ArraySlice<UInt8>
    let size: Int
    mutating func next() async -> [UInt8]? {
      guard !rest.isEmpty else { return nil }
      defer { rest = rest.dropFirst(size) }
      return Array(rest.prefix(size))
    }
  }

  func makeAsyncIterator() -> AsyncIterator { AsyncIterator(rest: bytes[...], size: size) }
}

extension Array where Element == MediaPacket {
  var frames: [MediaFrame] { compactMap { if case .frame(let frame) = $0 { frame } else { nil } } }
  var formats: [MediaFormat] { compactMap { if case .format(let format) = $0 { format } else { nil } } }
}

@Suite struct MediaTests {
  private func bytes(_ path: String) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    for try await chunk in FileChunks(path: path) { bytes += chunk }
    return bytes
  }

  @Test func `a file gives its formats first, and frames whose times never fall within a kind`() async throws {
    let packets = try await Vector.packets()
    let formats = packets.formats
    #expect(formats.map(\.codec) == [.h264, .aac])
    #expect(formats[0].codecString.hasPrefix("avc1."))
    #expect(formats[0].width > 0)
    #expect(formats[1].sampleRate > 0)
    for kind in [MediaFrame.Kind.video, .audio] {
      let times = packets.frames.filter { $0.kind == kind }.map(\.decodeTime)
      #expect(times.count > 10)
      #expect(zip(times, times.dropFirst()).allSatisfy { $0 <= $1 })
    }
    #expect(packets.frames.contains { $0.presentationTime > $0.decodeTime })
    #expect(packets.frames.allSatisfy { $0.presentationTime >= $0.decodeTime })
  }

  @Test func `the pieces in which a file comes do not matter`() async throws {
    let bytes = try await bytes(Vector.path)
    let whole = try await Vector.packets()
    for size in [1, 7, 1000, bytes.count] {
      var packets: [MediaPacket] = []
      for try await packet in FLVPackets(Pieces(bytes: bytes, size: size)) { packets.append(packet) }
      let isSame = packets == whole
      #expect(isSame, "pieces of \(size)")
    }
  }

  @Test func `a file that ends within a tag says so after the packets before it`() async throws {
    let bytes = try await bytes(Vector.path)
    var random = SeededRandom(seed: 1)
    for _ in 0..<50 {
      let cut = Int.random(in: 1..<bytes.count, using: &random)
      do {
        for try await _ in FLVPackets(Pieces(bytes: Array(bytes[..<cut]), size: 4096)) {}
      } catch { #expect(error is MediaError) }
    }
  }

  @Test func `bytes that are no FLV throw, whatever they are`() async throws {
    var random = SeededRandom(seed: 2)
    for round in 0..<500 {
      var garbage = (0..<Int.random(in: 1...400, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      if round % 2 == 0 { garbage = FLVWriter.fileHeader(hasAudio: true, hasVideo: true) + garbage }
      do {
        for try await _ in FLVPackets(Pieces(bytes: garbage, size: 64)) {}
      } catch { #expect(error is MediaError) }
    }
  }

  @Test func `a file that is not there is an error of the system`() async throws {
    do {
      for try await _ in FileChunks(path: "/nonexistent.flv") {}
      Issue.record("it was read")
    } catch {
      #expect(error.code == 2)
      #expect("\(error)" == "/nonexistent.flv: No such file or directory")
    }
  }

  @Test func `packets survive the way through FLV`() async throws {
    let packets = try await Vector.packets()
    var (encoding, decoding) = (FLVEncoding(), FLVDecoding())
    var tags: [FLVTag] = []
    for packet in packets { try encoding.append(packet, to: &tags) }
    var again: [MediaPacket] = []
    for tag in tags { try decoding.receive(tag.kind, timestamp: tag.timestamp, body: tag.body, into: &again) }
    #expect(again.formats == packets.formats)
    let isSame = again.frames == packets.frames
    #expect(isSame)
  }

  @Test func `a frame before its format is refused with the way out`() {
    var encoding = FLVEncoding()
    var tags: [FLVTag] = []
    do throws(MediaError) {
      try encoding.append(.frame(MediaFrame(.video, at: .zero, payload: [0])), to: &tags)
      Issue.record("it was taken")
    } catch { #expect(error.description.contains("send .format")) }
  }

  @Test func `G,722 has no place in FLV`() throws {
    let format = try MediaFormat(.g722)
    #expect(format.sampleRate == 16_000 && format.channels == 1)
    var (encoding, tags) = (FLVEncoding(), [FLVTag]())
    #expect(throws: MediaError.self) { try encoding.append(.format(format), to: &tags) }
    #expect(tags.isEmpty)
  }

  @Test func `a format is read from its configuration, or refused`() throws {
    let aac = try MediaFormat(.aac, configuration: [0x11, 0x90])
    #expect(aac.sampleRate == 48_000)
    #expect(aac.channels == 2)
    #expect(aac.codecString == "mp4a.40.2")
    let mp3 = try MediaFormat(.mp3, sampleRate: 44_100, channels: 2)
    #expect(mp3.kind == .audio)
    #expect(throws: MediaError.self) { _ = try MediaFormat(.h264, configuration: [1, 2, 3]) }
    #expect(throws: MediaError.self) { _ = try MediaFormat(.g711a, sampleRate: 0) }
  }
}
