internal import MartletClient
internal import MartletCodecs
internal import MartletContainers
internal import MartletPrimitives
internal import MartletRTMP

/// Frames → the bytes of an FLV file, and the head that is put in place when the file is complete.
///
/// The head has the same size from the beginning: where the index will be stand properties without a value. So a file that
/// was never closed is a plain FLV file without an index.
internal struct FLVRecording {
  /// The file's first byte after its header and the first PreviousTagSize: where the head stands.
  internal static let headPosition = 13
  /// Bytes of one entry: two AMF numbers.
  private static let entrySize = 18

  private let formats: [TrackFormat]
  private var index: KeyFrameIndex
  private var base: Int64?
  private var step: Int64 = 0
  /// Milliseconds from the start: of the last tag, and of the last one of the leading track.
  private var last: Int64 = 0, lastLead: Int64 = 0
  private let hasVideo: Bool
  /// Bytes of the file so far.
  internal private(set) var size = 0
  /// Bytes since `take`.
  internal private(set) var pending: [UInt8] = []

  internal init(_ formats: [TrackFormat], indexCapacity: Int = 2000) {
    self.formats = formats
    index = KeyFrameIndex(capacity: indexCapacity)
    hasVideo = formats.contains { $0.kind == .video }
    append(FLVWriter.fileHeader(hasAudio: formats.contains { $0.kind == .audio }, hasVideo: hasVideo))
    append(head(isFinal: false))
    for format in formats {
      if let body = FLVMuxer.sequenceHeader(format) { appendTag(FLVMuxer.tagKind(format), 0, body, Slice()) }
    }
  }

  /// Milliseconds, to the end of the last picture or sound.
  internal var duration: Int64 { last + step }

  /// A recording begins, and may be cut, here.
  internal func isStart(_ frame: Frame) -> Bool {
    let format = formats[Int(frame.track)]
    return frame.isKey && (format.kind == .video || !hasVideo && format.kind == .audio)
  }

  /// Frames before the first one's time, and such as no tag can hold, are left out.
  internal mutating func append(_ frame: Frame) {
    guard Int(frame.track) < formats.count, case let format = formats[Int(frame.track)], FLVMuxer.carries(format.codec) else { return }
    let time = MediaTime.rescale(frame.dts, from: format.timescale, to: 1000)
    let base = base ?? time
    self.base = base
    let relative = time &- base
    let (header, payload) = FLVMuxer.body(frame, format)
    guard 0...Int64(UInt32.max) ~= relative, header.count + payload.count < 1 << 24 else { return }
    if isStart(frame) { index.append(position: size, time: relative) }
    if format.kind == .video || !hasVideo {
      if 1...1000 ~= relative - lastLead { step = relative - lastLead }
      lastLead = relative
    }
    last = max(last, relative)
    appendTag(FLVMuxer.tagKind(format), UInt32(relative), header, payload)
  }

  /// The bytes to be written behind those taken before.
  internal mutating func take() -> [UInt8] {
    defer {
      pending = []
      pending.reserveCapacity(160 * 1024)
    }
    return pending
  }

  private mutating func append(_ bytes: [UInt8]) {
    pending += bytes
    size += bytes.count
  }

  private mutating func appendTag(_ kind: FLVTag.Kind, _ timestamp: UInt32, _ header: [UInt8], _ payload: Slice) {
    let count = header.count + payload.count
    FLVWriter.appendTagHeader(kind, timestamp: timestamp, bodyCount: count, to: &pending)
    pending += header
    payload.withUnsafeBytes { pending.append(contentsOf: $0) }
    pending += FLVWriter.tagTrailer(bodyCount: count)
    size += count + 15
  }

  // MARK: The head

  /// The `onMetaData` tag: zeros and no index until the recording is complete. Its size never changes.
  internal func head(isFinal: Bool) -> [UInt8] {
    var properties = [
      AMFProperty("duration", .number(isFinal ? Double(duration) / 1000 : 0)),
      AMFProperty("filesize", .number(isFinal ? Double(size) : 0)),
      AMFProperty("hasKeyframes", .boolean(hasVideo)),
    ]
    properties += FLVMetadata.properties(formats)
    let withoutIndex = Self.message(properties).count
    if isFinal {
      let entries = index.entries
      let positions = AMFValue.strictArray(entries.map { .number(Double($0.position)) })
      let times = AMFValue.strictArray(entries.map { .number(Double($0.time) / 1000) })
      properties.append(AMFProperty("keyframes", .object([AMFProperty("filepositions", positions), AMFProperty("times", times)])))
    }
    let taken = Self.message(properties).count - withoutIndex
    properties.append(AMFProperty("reserved", .object(Self.filler(Self.indexOverhead + index.capacity * Self.entrySize - taken))))
    let body = Self.message(properties)
    var tag: [UInt8] = []
    FLVWriter.appendTagHeader(.script, timestamp: 0, bodyCount: body.count, to: &tag)
    return tag + body + FLVWriter.tagTrailer(bodyCount: body.count)
  }

  private static func message(_ properties: [AMFProperty]) -> [UInt8] {
    AMF0.encode([.string("onMetaData"), .ecmaArray(properties)])
  }

  /// More bytes than an index without entries takes.
  private static let indexOverhead = 64

  /// Properties without value that together take `count` bytes, at least three: every reader of AMF knows how to pass over
  /// them, and names of 1,000 bytes and more some refuse.
  private static func filler(_ count: Int) -> [AMFProperty] {
    var (rest, properties) = (count, [AMFProperty]())
    while rest >= 3 {
      // Two bytes of length before the name, one of null behind it; never a rest that no property fits.
      let size = rest <= 900 ? rest : min(897, rest - 3)
      properties.append(AMFProperty(String(repeating: " ", count: size - 3), .null))
      rest -= size
    }
    return properties
  }
}
