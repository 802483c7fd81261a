#if Transcoding
  /// Draws the demo's picture in planar YUV 4:2:0: colour bars, a ball that bounces, and the time in large digits.
  ///
  /// Only what moves is drawn again: bars are restored where ball and clock stood.
  internal struct TestPicture {
    internal struct Planes {
      var luma: UnsafeMutableBufferPointer<UInt8>
      var blue: UnsafeMutableBufferPointer<UInt8>
      var red: UnsafeMutableBufferPointer<UInt8>
      var lumaStride: Int
      var chromaStride: Int
    }

    private typealias Color = (y: UInt8, u: UInt8, v: UInt8)
    private static let bars: [Color] = [
      (180, 128, 128), (168, 44, 136), (145, 147, 44), (133, 63, 52), (63, 193, 204), (51, 109, 212), (28, 212, 120),
    ]
    private static let ink: Color = (16, 128, 128)
    private static let paper: Color = (235, 128, 128)

    internal let width: Int
    internal let height: Int
    /// Width of a digit's pixel.
    private var dot: Int { max(2, width / 160) & ~1 }

    internal init(width: Int, height: Int) {
      self.width = width
      self.height = height
    }

    /// Picture number `index` at `rate` a second; `clock` is drawn as text of digits, colons and dots.
    internal func draw(_ index: Int, rate: Int, clock: String, into planes: Planes) {
      // Rounded up: the bars must reach the right edge.
      let barWidth = (width / Self.bars.count + 2) & ~1
      for (number, color) in Self.bars.enumerated() {
        fill(planes, x: number * barWidth, y: 0, width: barWidth, height: height, color)
      }
      drawBall(index, rate, planes)
      let textWidth = clock.count * 6 * dot
      let (x, y) = (((width - textWidth) / 2) & ~1, (height / 2 - 5 * dot) & ~1)
      fill(planes, x: x - 2 * dot, y: y - 2 * dot, width: textWidth + 3 * dot, height: 11 * dot, Self.ink)
      for (place, character) in clock.enumerated() { drawCharacter(character, x: x + place * 6 * dot, y: y, planes) }
    }

    private func drawBall(_ index: Int, _ rate: Int, _ planes: Planes) {
      let radius = height / 12
      let bounce = { (speed: Int, span: Int) -> Int in
        let position = index * speed / max(1, rate) % max(1, 2 * span)
        return position < span ? position : 2 * span - position
      }
      let centerX = radius + bounce(width / 3, width - 2 * radius)
      let centerY = radius + bounce(height / 2, height - 2 * radius)
      for row in stride(from: -radius, to: radius, by: 2) {
        var half = radius
        while half > 0, half * half + row * row > radius * radius { half -= 2 }
        fill(planes, x: (centerX - half) & ~1, y: (centerY + row) & ~1, width: 2 * half, height: 2, Self.paper)
      }
    }

    private func drawCharacter(_ character: Character, x: Int, y: Int, _ planes: Planes) {
      guard let rows = Self.font[character] else { return }
      for (row, bits) in rows.enumerated() {
        for column in 0..<5 where bits & (16 >> column) != 0 {
          fill(planes, x: x + column * dot, y: y + row * dot, width: dot, height: dot, Self.paper)
        }
      }
    }

    /// Even coordinates and sizes keep luma and chroma together.
    private func fill(_ planes: Planes, x: Int, y: Int, width: Int, height: Int, _ color: Color) {
      let (left, right) = (max(0, x), min(self.width, x + width))
      let (top, bottom) = (max(0, y), min(self.height, y + height))
      guard left < right, top < bottom else { return }
      for row in top..<bottom {
        UnsafeMutableBufferPointer(rebasing: planes.luma[row * planes.lumaStride + left..<row * planes.lumaStride + right])
          .update(repeating: color.y)
      }
      for row in top / 2..<bottom / 2 {
        let range = row * planes.chromaStride + left / 2..<row * planes.chromaStride + right / 2
        UnsafeMutableBufferPointer(rebasing: planes.blue[range]).update(repeating: color.u)
        UnsafeMutableBufferPointer(rebasing: planes.red[range]).update(repeating: color.v)
      }
    }

    /// Five by seven dots, a row a byte.
    private static let font: [Character: [Int]] = [
      "0": [14, 17, 19, 21, 25, 17, 14], "1": [4, 12, 4, 4, 4, 4, 14], "2": [14, 17, 1, 2, 4, 8, 31], "3": [31, 2, 4, 2, 1, 17, 14],
      "4": [2, 6, 10, 18, 31, 2, 2], "5": [31, 16, 30, 1, 1, 17, 14], "6": [6, 8, 16, 30, 17, 17, 14], "7": [31, 1, 2, 4, 8, 8, 8],
      "8": [14, 17, 17, 14, 17, 17, 14], "9": [14, 17, 17, 15, 1, 2, 12], ":": [0, 4, 4, 0, 4, 4, 0], ".": [0, 0, 0, 0, 0, 12, 12],
    ]
  }
#endif
