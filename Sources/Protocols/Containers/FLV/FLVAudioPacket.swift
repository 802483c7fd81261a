internal import MartletCodecs
internal import MartletPrimitives

/// What the head of an audio tag body says, in the legacy form (FLV 10.1 §E.4.2) or that of Enhanced RTMP v2.
enum FLVAudioPacket {
  case ignored
  case unsupported(String)
  case sequenceStart(Codec, Slice)
  case sequenceEnd
  case coded(Codec, isStereo: Bool, Slice)

  init(_ body: Slice) throws(ParseError) {
    guard !body.isEmpty else {
      self = .ignored
      return
    }
    var reader = ByteReader(body.bytes)
    let first = try reader.u8()
    let isStereo = first & 1 == 1
    let rest = body.dropFirst(1)
    switch first >> 4 {
    case 9: self = try FLVAudioPacket.enhanced(first, &reader, body)
    case 10:
      let isConfiguration = try reader.u8() == 0
      let payload = body.dropFirst(2)
      self = payload.isEmpty ? .ignored : isConfiguration ? .sequenceStart(.aac, payload) : .coded(.aac, isStereo: isStereo, payload)
    case 2, 14: self = rest.isEmpty ? .ignored : .coded(.mp3, isStereo: isStereo, rest)
    case 7: self = rest.isEmpty ? .ignored : .coded(.g711a, isStereo: isStereo, rest)
    case 8: self = rest.isEmpty ? .ignored : .coded(.g711u, isStereo: isStereo, rest)
    case 0, 3: self = .unsupported("PCM")
    case 1: self = .unsupported("ADPCM")
    case 4, 5, 6: self = .unsupported("Nellymoser")
    case 11: self = .unsupported("Speex")
    case let id: self = .unsupported("audio codec \(id)")
    }
  }

  private static func enhanced(_ first: UInt8, _ reader: inout ByteReader, _ body: Slice) throws(ParseError) -> FLVAudioPacket {
    var type = try FLVEnhanced.skipModifiers(first & 0x0f, &reader)
    guard
      let track = try FLVEnhanced.firstTrack(&type, multitrack: FLVEnhanced.Audio.multitrack, &reader, body)
    else { return .ignored }
    guard let codec = FLVEnhanced.audioCodec(track.fourCC) else { return .unsupported(FLVEnhanced.name(track.fourCC)) }
    switch type {
    case FLVEnhanced.Audio.sequenceStart: return track.body.isEmpty ? .ignored : .sequenceStart(codec, track.body)
    case FLVEnhanced.Audio.sequenceEnd: return .sequenceEnd
    case FLVEnhanced.Audio.codedFrames: return track.body.isEmpty ? .ignored : .coded(codec, isStereo: true, track.body)
    default: return .ignored
    }
  }
}
