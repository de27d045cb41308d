// The systolic array: ROWS x COLUMNS processing elements. Row r works on position r of a group.
//
// The word of row r arrives r cycles after that of row 0, just as its activations have to; so each row turns its word
// into a sequence of channels by itself, and only weights need registers that skew them. Results leave at the top, two
// cycles apart, and are aligned over the columns.
module array #(
  parameter ROWS = 2,
  parameter COLUMNS = 2,
  parameter A_BITS = 8,
  parameter W_BITS = 8,
  parameter PRODUCT_BITS = 16,
  parameter SUM_BITS = 32,
  parameter SELECT_BITS = 1
) (
  input wire clk,
  input wire [SELECT_BITS-1:0] select,
  input wire [ROWS-1:0] load,        // this row takes the word
  input wire [ROWS-1:0] first,       // the word begins a sum
  input wire [ROWS-1:0] done,        // this row multiplies the last channel of a sum
  input wire [ROWS*(A_BITS+1)-1:0] word,
  input wire [COLUMNS*(W_BITS+1)-1:0] weights,
  output wire [COLUMNS*SUM_BITS-1:0] results
);
  // Wires between elements: index (row, column); column COLUMNS and row ROWS are the far edges.
  wire [A_BITS:0] a [0:ROWS*(COLUMNS+1)-1];
  wire first_token [0:ROWS*(COLUMNS+1)-1];
  wire done_token [0:ROWS*(COLUMNS+1)-1];
  wire [W_BITS:0] w [0:(ROWS+1)*COLUMNS-1];
  wire [SUM_BITS-1:0] result [0:(ROWS+1)*COLUMNS-1];

  genvar r, c;
  generate
    for (r = 0; r < ROWS; r = r + 1) begin : row
      serialiser #(.LANES(ROWS), .WIDTH(A_BITS + 1)) serialiser (
        .clk(clk), .load(load[r]), .word(word), .lane(a[r*(COLUMNS+1)])
      );
      assign first_token[r*(COLUMNS+1)] = load[r] & first[r];
      assign done_token[r*(COLUMNS+1)] = done[r];
      for (c = 0; c < COLUMNS; c = c + 1) begin : column
        pe #(
          .A_BITS(A_BITS), .W_BITS(W_BITS), .PRODUCT_BITS(PRODUCT_BITS), .SUM_BITS(SUM_BITS), .SELECT_BITS(SELECT_BITS)
        ) pe (
          .clk(clk),
          .select(select),
          .first_in(first_token[r*(COLUMNS+1)+c]),
          .done_in(done_token[r*(COLUMNS+1)+c]),
          .a_in(a[r*(COLUMNS+1)+c]),
          .w_in(w[r*COLUMNS+c]),
          .result_in(result[(r+1)*COLUMNS+c]),
          .first_out(first_token[r*(COLUMNS+1)+c+1]),
          .done_out(done_token[r*(COLUMNS+1)+c+1]),
          .a_out(a[r*(COLUMNS+1)+c+1]),
          .w_out(w[(r+1)*COLUMNS+c]),
          .result_out(result[r*COLUMNS+c])
        );
      end
    end
    for (c = 0; c < COLUMNS; c = c + 1) begin : edges
      delay #(.WIDTH(W_BITS + 1), .STAGES(c)) skew (
        .clk(clk), .rst(1'b0), .in(weights[c*(W_BITS+1)+:W_BITS+1]), .out(w[c])
      );
      assign result[ROWS*COLUMNS+c] = {SUM_BITS{1'b0}};
      delay #(.WIDTH(SUM_BITS), .STAGES(COLUMNS - 1 - c)) align (
        .clk(clk), .rst(1'b0), .in(result[c]), .out(results[c*SUM_BITS+:SUM_BITS])
      );
    end
  endgenerate
endmodule
