package import MartletCodecs
package import MartletSDP

extension RTPCodec {
  /// The codec by its name in SDP (the media subtypes of IANA); `nil` for auxiliary formats and for those that are not known here.
  package var media: Codec? {
    switch name.lowercased() {
    case "h264": .h264
    case "h265": .hevc
    case "vp8": .vp8
    case "vp9": .vp9
    case "av1": .av1
    case "opus": .opus
    case "pcmu": .g711u
    case "pcma": .g711a
    case "g722": .g722
    default: nil
    }
  }
}
