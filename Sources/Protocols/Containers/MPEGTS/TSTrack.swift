internal import MartletCodecs
internal import MartletPrimitives

/// How one track is written into a transport stream.
struct TSTrack: Sendable {
  let format: TrackFormat
  let pid: UInt16
  let streamType: UInt8
  let streamID: UInt8
  /// Descriptors of the elementary stream in the PMT.
  let descriptors: [UInt8]
  /// Annex B parameter sets, put before a key frame that has none itself.
  private(set) var parameterSets: [UInt8] = []
  private var aac: AACConfiguration?

  init(_ format: TrackFormat, pid: UInt16) throws(TSError) {
    self.format = format
    self.pid = pid
    var descriptors: [UInt8] = []
    switch format.codec {
    case .h264: (streamType, streamID) = (0x1b, PESHeader.video)
    case .hevc:
      (streamType, streamID) = (0x24, PESHeader.video)
      descriptors = [5, 4] + Array("HEVC".utf8)
    case .aac: (streamType, streamID) = (0x0f, PESHeader.audio)
    // MPEG-2's half sample rates have a type of their own.
    case .mp3: (streamType, streamID) = (format.sampleRate < 32000 ? 0x04 : 0x03, PESHeader.audio)
    case .opus:
      (streamType, streamID) = (0x06, PESHeader.privateStream1)
      // A registration, and the extension descriptor with channel_config_code (the draft mapping of Opus to MPEG-TS).
      descriptors = [5, 4] + Array("Opus".utf8) + [0x7f, 2, 0x80, UInt8(clamping: min(format.channels, 8))]
    default: throw .unsupported(format.codec)
    }
    self.descriptors = descriptors
    do throws(ParseError) { try readConfiguration() } catch { throw .configuration(format.codec, error) }
  }

  private mutating func readConfiguration() throws(ParseError) {
    var units: [Slice] = []
    switch format.codec {
    case .h264:
      let record = try H264Configuration(format.configuration)
      units = record.sps + record.pps
    case .hevc:
      let record = try HEVCConfiguration(format.configuration)
      units = record.vps + record.sps + record.pps
    case .aac:
      let configuration = try AACConfiguration(format.configuration)
      var probe: [UInt8] = []
      guard ADTSHeader.append(configuration, payloadCount: 0, to: &probe) else { throw .invalid("a sample rate ADTS cannot say", at: 0) }
      aac = configuration
    default: break
    }
    for unit in units { AnnexB.append(unit: unit, to: &parameterSets) }
  }

  /// Appends an access unit as the elementary stream has it. False when it cannot be carried.
  func append(_ frame: Frame, to output: inout [UInt8]) -> Bool {
    switch format.codec {
    case .h264, .hevc:
      appendVideo(frame, to: &output)
      return true
    case .aac:
      guard let aac, ADTSHeader.append(aac, payloadCount: frame.payload.count, to: &output) else { return false }
    case .opus:
      // opus_control_header: the prefix 0x3ff, no trim, no extension; then the size in bytes of 255 and a rest.
      output.append(0x7f)
      output.append(0xe0)
      output.append(contentsOf: repeatElement(0xff, count: frame.payload.count / 255))
      output.append(UInt8(frame.payload.count % 255))
    default: break
    }
    output.append(frame.payload.bytes)
    return true
  }

  /// Annex B with an access unit delimiter in front, which a transport stream demands (ISO/IEC 13818-1 §2.14.1), and
  /// parameter sets before each key frame.
  private func appendVideo(_ frame: Frame, to output: inout [UInt8]) {
    let isH264 = format.codec == .h264
    let bytes = frame.payload.bytes
    var first: UInt8?
    var hasParameterSets = false
    var offset = 0
    while offset < bytes.byteCount, let length = try? NALUnits.length(in: bytes, at: offset, size: 4) {
      if length > 0, let head = bytes.byte(at: offset + 4) {
        let type = isH264 ? H264.nalType(head) : HEVC.nalType(head)
        if first == nil { first = type }
        if type == (isH264 ? H264.NALType.sps : HEVC.NALType.sps) { hasParameterSets = true }
      }
      offset += 4 + length
    }
    var units = NALUnits(frame.payload)
    let delimiter = isH264 ? H264.accessUnitDelimiter : HEVC.accessUnitDelimiter
    if first == (isH264 ? H264.NALType.accessUnitDelimiter : HEVC.NALType.accessUnitDelimiter), let own = try? units.next() {
      AnnexB.append(unit: own, to: &output)
    } else {
      AnnexB.append(unit: delimiter, to: &output)
    }
    if frame.isKey, !hasParameterSets { output.append(contentsOf: parameterSets) }
    while let unit = try? units.next() { AnnexB.append(unit: unit, to: &output) }
  }
}
