import MartletEndpoints
import MartletHTTP
import MartletPrimitives

/// What comes with uploads: forms, ranges, digests, metadata, names.
extension FuzzEntry {
  static let files = [multipart, uploadFields]

  private static let form =
    "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\n\r\ncontent\r\n--b\r\n\r\n\r\n--b--\r\n"

  private static let multipart = FuzzEntry("multipart", seeds: [Array(form.utf8)]) { bytes in
    require(parts([bytes[...]]) == parts(pieces(bytes)), "a form that depends on how the bytes were cut")
  }

  private static func parts(_ pieces: [ArraySlice<UInt8>]) -> [MultipartReader.Event]? {
    var limits = MultipartReader.Limits()
    (limits.parts, limits.fieldBytes, limits.fields, limits.preamble) = (10, 200, 4, 50)
    var reader = MultipartReader(boundary: [UInt8(ascii: "b")], limits: limits)
    var events: [MultipartReader.Event] = []
    var (taken, given) = (0, 0)
    for piece in pieces {
      do throws(HTTPError) { try reader.receive(Slice(Array(piece))) } catch { return nil }
      taken += piece.count
      while let event = reader.pollEvent() {
        if case .data(let more) = event {
          given += more.count
          if case .data(let before)? = events.last {
            events[events.count - 1] = .data(Slice(before.array + more.array))
            continue
          }
        }
        if case .part(let fields) = event { for field in fields { _ = ContentDisposition(parsing: field.value) } }
        events.append(event)
      }
    }
    require(given <= taken, "more content than came")
    do throws(HTTPError) { try reader.finish() } catch { return nil }
    return events
  }

  private static let uploadFields = FuzzEntry(
    "upload-fields",
    seeds: [
      "bytes 0-9/20", "bytes */20", "0-9,20-29", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", "filename d29ybGQ=,x",
      "form-data; name=\"a\"; filename*=UTF-8''%e2.txt", "dir/name.txt",
    ].map { Array($0.utf8) }
  ) { bytes in
    let text = String(decoding: bytes, as: UTF8.self)
    if let content = ByteRange.parseContentRange(text), let range = content.range {
      require(!range.isEmpty && range.upperBound <= content.length ?? .max, "a part outside of the whole")
    }
    if let set = ByteRangeSet(parsing: text, maximum: 100) {
      require(ByteRangeSet(parsing: set.description) == set, "ranges that read differently")
    }
    _ = try? DigestField.parse("Repr-Digest", in: ["Repr-Digest": text])
    _ = try? DigestField.parse(tus: text)
    _ = try? TusMetadata.parse(text)
    if let name = ContentDisposition(parsing: text)?.fileName { require(!FileName.safe(name).text.isEmpty, "a file without a name") }
    let attachment = ContentDisposition.attachment(text)
    require(attachment.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }, "a name that leaves its field")
    require((try? FileName(FileName.safe(text).text)) != nil, "a name that was made and is refused")
  }
}
