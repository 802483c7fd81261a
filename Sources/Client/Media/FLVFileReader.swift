internal import MartletContainers
internal import MartletPrimitives

/// The packets of an FLV byte stream (Adobe FLV 10.1 annex E, Enhanced RTMP v1 and v2) that comes in chunks of any size: the
/// content of an HTTP response, a pipe, a file.
///
///     for try await packet in FLVPackets(response.body) { … }
///
/// No more is held than a chunk and one unfinished tag of at most 8 MiB. One iteration.
public struct FLVPackets<Chunks: AsyncSequence>: AsyncSequence where Chunks.Element == [UInt8] {
  public typealias Element = MediaPacket
  private let chunks: Chunks

  public init(_ chunks: Chunks) { self.chunks = chunks }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(chunks.makeAsyncIterator()) }

  public struct AsyncIterator: AsyncIteratorProtocol {
    private var chunks: Chunks.AsyncIterator
    private var reader = FLVReader()
    private var decoding = FLVDecoding()
    private var packets: [MediaPacket] = []
    private var position = 0

    init(_ chunks: Chunks.AsyncIterator) { self.chunks = chunks }

    /// - Throws: `MediaError` when the bytes are no FLV, or end within a tag; what the chunks throw.
    public mutating func next() async throws -> MediaPacket? { try await next(isolation: nil) }

    public mutating func next(isolation actor: isolated (any Actor)?) async throws -> MediaPacket? {
      while true {
        if position < packets.count {
          defer { position += 1 }
          return packets[position]
        }
        packets.removeAll(keepingCapacity: true)
        position = 0
        if try decode() { continue }
        guard let chunk = try await chunks.next(isolation: actor) else {
          guard reader.buffered == 0 else { throw MediaError("the FLV stream ends within a tag") }
          return nil
        }
        reader.receive(chunk.span.bytes)
      }
    }

    private mutating func decode() throws(MediaError) -> Bool {
      do throws(ParseError) {
        guard let tag = try reader.next() else { return false }
        try decoding.receive(tag.kind, timestamp: tag.timestamp, body: tag.body, into: &packets)
        return true
      } catch { throw MediaError("not FLV as it should be: \(error)") }
    }
  }
}

extension FLVPackets: Sendable where Chunks: Sendable {}

/// The packets of an FLV file, which is read chunk by chunk and never held as a whole.
///
///     for try await packet in FLVFileReader(path: "clip.flv") { try await publisher.send(packet) }
///
/// It may be iterated again, from the beginning.
public struct FLVFileReader: AsyncSequence, Sendable {
  public typealias Element = MediaPacket
  private let path: String

  /// The file is opened by the iteration, which throws `FileChunks.Failure` when that fails.
  public init(path: String) { self.path = path }

  public func makeAsyncIterator() -> FLVPackets<FileChunks>.AsyncIterator { FLVPackets(FileChunks(path: path)).makeAsyncIterator() }
}
